"""The frozen vocabulary: records, units, guarantees, findings, assurance, digests, errors. No torch, no database."""

from typing import TYPE_CHECKING

from expunge.core.lazily import lazily

if TYPE_CHECKING:
    from expunge.core.assurance import Assurance as Assurance
    from expunge.core.assurance import Flag as Flag
    from expunge.core.fact import Fact as Fact
    from expunge.core.finding import ArmScore as ArmScore
    from expunge.core.finding import Finding as Finding
    from expunge.core.finding import Outcome as Outcome
    from expunge.core.guarantee import Equality as Equality
    from expunge.core.guarantee import Guarantee as Guarantee
    from expunge.core.guarantee import Promise as Promise
    from expunge.core.record import Record as Record
    from expunge.core.registry import Registry as Registry
    from expunge.core.units import Deletion as Deletion
    from expunge.core.units import MadeOfUnits as MadeOfUnits
    from expunge.core.units import Plan as Plan
    from expunge.core.units import Route as Route
    from expunge.core.units import TouchedUnit as TouchedUnit
    from expunge.core.units import Unit as Unit

_HOMES = {
    "ArmScore": "finding",
    "Assurance": "assurance",
    "Deletion": "units",
    "Equality": "guarantee",
    "Fact": "fact",
    "Finding": "finding",
    "Flag": "assurance",
    "Guarantee": "guarantee",
    "MadeOfUnits": "units",
    "Outcome": "finding",
    "Plan": "units",
    "Promise": "guarantee",
    "Record": "record",
    "Registry": "registry",
    "Route": "units",
    "TouchedUnit": "units",
    "Unit": "units",
}
__all__ = [*_HOMES]
__getattr__ = lazily(__name__, _HOMES)
