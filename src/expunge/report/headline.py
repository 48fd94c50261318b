"""The outcome of the whole document in one plain sentence, and what a reader must not miss beside it."""

from collections.abc import Mapping
from typing import Any

from expunge.core import Assurance, Flag
from expunge.report.claims import NO_AUDIT, audit_of, flag_sentence, flags_of, level_of, may_be_claimed
from expunge.report.table import rows_of
from expunge.report.words import NOT_RUN, items, mapping, plural, text

# What weighs most is said first.
_WORST_FIRST = (
    Flag.RETAINED,
    Flag.HIDDEN,
    Flag.PARTIAL,
    Flag.TAINTED,
    Flag.DAMAGED,
    Flag.EXPIRED,
    Flag.OVER_FORGOTTEN,
    Flag.EXCEPTIONS,
    Flag.INCONCLUSIVE,
)


_CLOSED = {
    "denied": "The request was denied. Nothing was removed.",
    "cancelled": "The request was taken back. Nothing was removed.",
}


def headline(document: Mapping[str, Any]) -> str:
    """
    >>> headline({})
    'No removal is recorded in this document.'
    """
    if closed := _CLOSED.get(text(mapping(document.get("request")).get("state"))):
        return closed
    rows = rows_of(document)
    if not rows:
        return "No removal is recorded in this document."
    found = _one(rows[0]) if len(rows) == 1 else _many(rows)
    if not items(document.get("exceptions")):
        return found
    return (
        f"Not everything was dealt with. Where it was: {found[0].lower() + found[1:] if found[1].islower() else found}"
    )


def alerts(document: Mapping[str, Any]) -> list[str]:
    """What changes the meaning of the headline: what became of a request besides its steps, something left undone, not delivered,
    copies left, an override, no certificate."""
    sentences = [text(one) for one in items(document.get("notices"))]
    if left := items(document.get("exceptions")):
        sentences.append(f"With exceptions: {'; '.join(text(one) for one in left)}.")
    if text(mapping(document.get("request")).get("state")) in _CLOSED:
        return sentences
    delivery = document.get("delivery")
    if not isinstance(delivery, Mapping):
        sentences.append(f"Delivery: {NOT_RUN}.")
    else:
        if override := delivery.get("override"):
            sentences.append(f"Delivered despite {text(override)}, by a named override.")
        if left := items(delivery.get("unreachable")):
            sentences.append(f"{plural(len(left), 'copy', 'copies')} could not be reached and may still hold the data.")
        if left := items(delivery.get("residuals")):
            sentences.append(f"{plural(len(left), 'residual')} named under Delivery.")
    if not mapping(document.get("certificate")):
        sentences.append("No certificate is attached: this page alone is not evidence.")
    return sentences


def _one(row: Mapping[str, Any]) -> str:
    present = flags_of(row)
    known = [flag for flag in _WORST_FIRST if flag in present]
    unknown = [flag for flag in present if flag not in set(Flag)]
    if known or unknown:
        return flag_sentence(known[0] if known else unknown[0])
    return may_be_claimed(row)


def _many(rows: list[Mapping[str, Any]]) -> str:
    audited = [row for row in rows if audit_of(row) is not None]
    if not audited:
        return f"{plural(len(rows), 'method')}. {NO_AUDIT}"
    groups: dict[str, list[str]] = {"reach": [], "flagged": [], "nothing": []}
    for row in audited:
        level, name = level_of(row), text(row.get("method"))
        if flags := flags_of(row):
            groups["flagged"].append(f"{name}: {' and '.join(flags)}")
        elif level is None or level is Assurance.CLAIMED:
            groups["nothing"].append(name)
        else:
            groups["reach"].append(f"{name}: {level.name}")
    parts = [
        _part(
            groups["reach"],
            "reaches a level without a flag",
            "reach a level without a flag",
            "none reaches a level without a flag",
        ),
        _part(groups["flagged"], "carries a flag", "carry a flag"),
        _part(groups["nothing"], "shows nothing beyond the request", "show nothing beyond the request"),
        _part(
            [text(r.get("method")) for r in rows if audit_of(r) is None],
            "was not audited",
            "were not audited",
        ),
    ]
    return f"Of {plural(len(rows), 'method')}, " + "; ".join(part for part in parts if part) + "."


def _part(names: list[str], one: str, many: str, none: str = "") -> str:
    if not names:
        return none
    return f"{len(names)} {one if len(names) == 1 else many} ({', '.join(names)})"
