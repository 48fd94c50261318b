"""What a plan has to say beside its units and its cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expunge.core import Plan
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._sisa.ensemble import Ensemble
from expunge.exact._sisa.frames import categories_without_records
from expunge.exact._sisa.search import influence


def notes_of(learned: Ensemble, rows: Rows, gone: Positions, everywhere: bool) -> tuple[str, ...]:
    """Notes that follow from what is held; `everywhere`: a class leaves that all units were told of."""
    notes = []
    if everywhere:
        notes.append("a class leaves that was not declared, so every unit trains again; declare classes=")
    if learned.search is not None:
        notes.append(influence(learned.search))
    if learned.columns is not None:
        left = rows.alive.copy()
        left[gone] = False
        if names := categories_without_records(learned.columns, rows.X[left], rows.X[gone]):
            notes.append(f"categories of {', '.join(names)} lose their last record and stay in the list, as declared")
    return tuple(notes)


def with_silenced(plan: Plan, units: Sequence[str]) -> Plan:
    """The plan, with a note on units that will not answer any more."""
    if not units:
        return plan
    note = (
        f"too little is left for the estimator in {', '.join(units)}: there is no model of it any more, and it abstains"
    )
    return replace(plan, notes=(*plan.notes, note))


def refused_words(refused: Mapping[str, str], n_units: int) -> str:
    """Units that the estimator refused, for a warning."""
    unit, words = next(iter(refused.items()))
    return f"{len(refused)} of {n_units} units have too few records for the estimator and abstain; of {unit} it says: {words}"


def settings_words(search: Mapping[str, Any] | None) -> str:
    """What a promise assumes of how settings were chosen."""
    assumed = "number of units and settings were not chosen on the removed data"
    return f"{assumed}, but for {', '.join(search['chosen'])}, which {search['by']} chose" if search else assumed


def category_words(columns: Mapping[str, Any] | None) -> list[str]:
    """What a promise assumes of the categories of a data frame."""
    names = [str(kind["name"]) for kind in (columns or {"columns": []})["columns"] if "categories" in kind]
    return [f"categories of {', '.join(names)} are declared, and a fit without has the same lists"] if names else []
