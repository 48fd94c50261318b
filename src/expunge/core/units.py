"""The idea that ties it together: everything a model remembers is held in units.

A unit is the smallest thing that a model can forget as a whole: a partition of records plus everything fitted on it.
To forget exactly is to rebuild, subtract or drop the units that the data touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from expunge.core.guarantee import Promise


class Route(StrEnum):
    """How a model can forget, strongest first."""

    SUBTRACT = "subtract"
    REBUILD = "rebuild"
    DROP = "drop"
    RETRAIN = "retrain"
    EDIT = "edit"
    PURGE = "purge"
    DESTROY = "destroy"


@dataclass(frozen=True)
class Unit:
    """A part of a model: its name, how many records each of its slices holds, and the digest of its state."""

    id: str
    slices: tuple[int, ...]
    digest: str

    @property
    def n_records(self) -> int:
        return sum(self.slices)


@dataclass(frozen=True)
class TouchedUnit:
    """A unit that a deletion touches, and the first of its slices (from 1) that must be trained again."""

    id: str
    n_removed: int
    first_slice: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a deletion would do. Computing it changes nothing.

    `cost` is the predicted work as a fraction of training the whole model without the data; None where that is not known.
    """

    route: Route
    promise: Promise
    units: tuple[TouchedUnit, ...]
    n_removed: int
    cost: float | None
    purge: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What a deletion did. Digests are None where they were not asked for: they can cost more than the deletion."""

    plan: Plan
    digest_before: str | None
    digest_after: str | None
    cost: float | None
    elapsed_s: float
    destroyed: tuple[str, ...] = field(default=())


@runtime_checkable
class MadeOfUnits(Protocol):
    """What every learner with exact deletion keeps."""

    def units(self) -> tuple[Unit, ...]:
        """The parts of the fitted model."""
        ...

    def plan(self, subjects: Sequence[str]) -> Plan:
        """What forgetting these subjects would touch and cost; changes nothing."""
        ...

    def forget(self, subjects: Sequence[str]) -> Deletion:
        """Forget these subjects: the result equals a fit without their records."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests."""
        ...
