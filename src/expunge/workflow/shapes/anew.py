"""Training a version anew on what stays, where the records that leave can no longer be had."""

from collections.abc import Mapping

from expunge.core import Plan, Promise, Route
from expunge.ledger import ModelVersion
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.shapes.touched import touched_units

METHOD = "trained anew on what stays"


def plan_anew(version: ModelVersion, leaving: Leaving, members: Mapping[str, Mapping[bytes, int]]) -> Plan:
    """The whole model, by its recipe; the units are those that hold what leaves."""
    return Plan(
        route=Route.RETRAIN,
        promise=Promise.from_json(version.promise or {}),
        units=tuple(touched_units(members, set(leaving.gone))),
        n_removed=len(leaving.gone),
        cost=1.0,
        notes=unasked(leaving),
    )


def unasked(leaving: Leaving) -> tuple[str, ...]:
    """A note of the records that leave and can no longer be had; none where all can."""
    if not leaving.lost:
        return ()
    return (
        f"{len(leaving.lost)} of the records that leave can no longer be had: their rows are gone from the file, or an earlier "
        "erasure destroyed their keys; nothing can be asked about them",
    )
