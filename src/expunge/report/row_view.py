"""One method's evidence → the strings of its section. What is missing is a word here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expunge.report.claims import (
    audit_of,
    findings_of,
    flag_sentence,
    flags_of,
    level_word,
    may_be_claimed,
    may_not_be_claimed,
)
from expunge.report.finding_view import FindingView, Strings, finding_view, membership_view
from expunge.report.marks import Mark, flag_mark, replay_mark
from expunge.report.table import cost_words, guarantee_words
from expunge.report.words import NOT_MEASURED, NOT_RUN, UNKNOWN, items, mapping, percent, seconds, text


@dataclass(frozen=True, kw_only=True)
class RowView:
    """One method's section."""

    method: str
    level: str
    claim: str
    flags: list[tuple[Mark, str]]
    flags_known: bool
    denied: list[str]
    findings: list[FindingView]
    no_findings: str
    membership: FindingView | None
    facts: list[tuple[str, str]]  # name and value
    replay: Mark
    before: str
    after: str
    same_digest: bool
    units: list[Strings]
    units_known: bool
    promise: list[tuple[str, str]]
    assumptions: list[str]
    notes: list[str]


def row_view(row: Mapping[str, Any]) -> RowView:
    audit = audit_of(row)
    promise = mapping(row.get("promise"))
    before, after = row.get("digest_before"), row.get("digest_after")
    return RowView(
        method=text(row.get("method")),
        level=level_word(row),
        claim=may_be_claimed(row),
        flags=[(flag_mark(flag), flag_sentence(flag)) for flag in flags_of(row)],
        flags_known=isinstance((audit or {}).get("flags"), list | tuple),
        denied=may_not_be_claimed(row),
        findings=[finding_view(f) for f in findings_of(row)],
        no_findings=f"Audit: {NOT_RUN}." if audit is None else "The audit holds no findings: UNKNOWN.",
        membership=membership_view(mapping((audit or {}).get("membership"))),
        facts=_facts(row, audit or {}),
        replay=replay_mark(row.get("replay")),
        before=text(before),
        after=text(after),
        same_digest=bool(before) and before == after,
        units=[_unit(mapping(unit)) for unit in items(row.get("units"))],
        units_known=isinstance(row.get("units"), list | tuple),
        promise=_promise(promise),
        assumptions=[text(a) for a in items(promise.get("assumptions"))],
        notes=[text(note) for note in items(row.get("notes"))],
    )


def _facts(row: Mapping[str, Any], audit: Mapping[str, Any]) -> list[tuple[str, str]]:
    battery = mapping(audit.get("battery"))
    version = f", version {text(battery.get('version'))}" if battery else ""
    return [
        ("Route", text(row.get("route"))),
        ("Promised", guarantee_words(row)),
        ("Cost vs retraining", cost_words(row)),
        (
            "Retained skill, of the control's",
            percent(audit.get("skill"), NOT_MEASURED if audit else NOT_RUN, floor=True),
        ),
        ("Battery of attacks", text(battery.get("name"), UNKNOWN if audit else NOT_RUN) + version),
        ("Audit took", seconds(audit.get("elapsed_s")) if audit else NOT_RUN),
    ]


def _unit(unit: Mapping[str, Any]) -> Strings:
    return {key: text(unit.get(key)) for key in ("id", "n_removed", "first_slice")}


def _promise(promise: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = {"guarantee": "Guarantee", "equality": "Equality", "scope": "Scope", "adaptive_safe": "Adaptive-safe"}
    if not promise:
        return []
    none = {"equality": "none"} if promise.get("guarantee") != "EXACT" else {}
    return [(label, text(promise.get(key), none.get(key, UNKNOWN))) for key, label in named.items()]
