"""The frozen vocabulary: records, units, guarantees, findings, assurance, digests, errors. No torch, no database."""

from expunge.core.assurance import Assurance, Flag
from expunge.core.fact import Fact
from expunge.core.finding import ArmScore, Finding, Outcome
from expunge.core.guarantee import Equality, Guarantee, Promise
from expunge.core.record import Record
from expunge.core.registry import Registry
from expunge.core.units import Deletion, MadeOfUnits, Plan, Route, TouchedUnit, Unit

__all__ = [
    "ArmScore",
    "Assurance",
    "Deletion",
    "Equality",
    "Fact",
    "Finding",
    "Flag",
    "Guarantee",
    "MadeOfUnits",
    "Outcome",
    "Plan",
    "Promise",
    "Record",
    "Registry",
    "Route",
    "TouchedUnit",
    "Unit",
]
