"""What a benchmark found: each number for the model and for a retrained one, their difference, and the raw scores."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from expunge.core.errors import TooFewSamples
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._loading import Source, Table
from expunge.verify.metrics.finite import finite
from expunge.verify.metrics.means import Mean, difference, mean

NO_RETRAINED = "no retrained model was given; a target is what such a model scores, never zero"


class Benchmark(Protocol):
    def run(self, arm: Arm, source: Source | None, retrained: Arm | None = None) -> "Result": ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number. What could not be measured is None, and `reason` says why.

    `difference` is model - retrained on the same rows: near 0 is the target, on either side. `means` says how to read it.
    `unit` is "share" for what lies in [0, 1], else its name.
    """

    name: str
    means: str
    unit: str = "share"
    model: Mean | None = None
    retrained: Mean | None = None
    difference: Mean | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """All measures of one model; bound to its digest, the data's digests or commits, and the settings."""

    benchmark: str
    model: str
    retrained: str | None
    data: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    measures: tuple[Measure, ...]
    cautions: tuple[str, ...] = ()
    scores: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything was measured, beside a retrained model that is another one."""
        return self.model != self.retrained and not any(m.reason for m in self.measures)

    def __getitem__(self, name: str) -> Measure:
        return next(m for m in self.measures if m.name == name)

    def to_json(self) -> dict[str, Any]:
        """Numbers, digests and settings; no word of the benchmark's texts or of the model's answers."""
        return dict(finite(asdict(self)))


def measured(
    name: str,
    means: str,
    model: Sequence[float],
    retrained: Sequence[float] | None = None,
    units: Sequence[Hashable] | None = None,
    unit: str = "share",
) -> Measure:
    """A mean over rows for both models, paired; scores that are no numbers give a reason instead of a number."""
    share = unit == "share"
    own = other = apart = None
    try:
        own = mean(model, units, share)
        if retrained is not None:
            other, apart = mean(retrained, units, share), difference(model, retrained, units, share)
        reason = "" if other else NO_RETRAINED
    except TooFewSamples as e:
        reason = f"the {'retrained ' if own else ''}model: {e}"
    return Measure(name=name, means=means, unit=unit, model=own, retrained=other, difference=apart, reason=reason)


def origins(*tables: Table | None) -> tuple[Mapping[str, Any], ...]:
    """Where the tables that were there came from."""
    return tuple(table.origin for table in tables if table)
