"""What one attack found, on every arm."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The result of one attack. INCONCLUSIVE is the default; NO_CONTRAST is never a pass."""

    RECOVERED = "RECOVERED"
    NOT_RECOVERED = "NOT_RECOVERED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_CONTRAST = "NO_CONTRAST"


@dataclass(frozen=True)
class ArmScore:
    """One arm's score: the mean over facts at its best setting, a one-sided 95 % bound each way, and every fact."""

    mean: float
    low: float
    high: float
    setting: str = ""
    per_fact: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One attack beside its control.

    `recovered` is the recovered fraction RF = (unlearned - control) / (original - control) with simultaneous one-sided
    95 % bounds; None where the contrast is too small for it to exist or the attack could not run. `reason` says why.
    `applies` is False where no arm could be attacked because the probes lack what the attack needs.
    """

    attack: str
    family: str
    arms: dict[str, ArmScore] = field(default_factory=dict)
    contrast_low: float | None = None
    recovered: float | None = None
    low: float | None = None
    high: float | None = None
    outcome: Outcome = Outcome.INCONCLUSIVE
    reason: str = ""
    n_facts: int = 0
    facts_needed: int | None = None
    elapsed_s: float = 0.0
    applies: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
