"""One method's evidence → the strings of its section. What is missing is a word here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expunge.core import Outcome
from expunge.report.claims import (
    audit_of,
    findings_of,
    flag_sentence,
    flags_of,
    level_word,
    may_be_claimed,
    may_not_be_claimed,
)
from expunge.report.marks import Mark, flag_mark, outcome_mark, replay_mark
from expunge.report.table import cost_words, guarantee_words
from expunge.report.words import (
    NOT_MEASURED,
    NOT_RUN,
    UNKNOWN,
    decimals,
    interval,
    items,
    mapping,
    number,
    percent,
    seconds,
    text,
)

ARMS = ("original", "unlearned", "control")
Strings = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One line of the findings table."""

    attack: str
    family: str
    arms: list[Strings]
    contrast: str
    recovered: str
    mark: Mark
    reason: str
    facts: str


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


def finding_view(finding: Mapping[str, Any]) -> FindingView:
    known = number(finding.get("recovered")) is not None
    bounds = interval(finding.get("low"), finding.get("high"))
    return FindingView(
        attack=text(finding.get("attack")),
        family=text(finding.get("family")),
        arms=[_arm(mapping(mapping(finding.get("arms")).get(arm))) for arm in ARMS],
        contrast=decimals(finding.get("contrast_low"), NOT_MEASURED),
        recovered=f"{decimals(finding.get('recovered'))} {bounds}" if known else "does not exist",
        mark=outcome_mark(finding.get("outcome")),
        reason=text(finding.get("reason"), "no reason given"),
        facts=_n_facts(finding),
    )


def membership_view(finding: Mapping[str, Any]) -> FindingView | None:
    """Membership has no recovered fraction: its bounds are of the difference in AUC to the control."""
    if not finding:
        return None
    known = number(finding.get("low")) is not None
    return FindingView(
        attack="membership",
        family=text(finding.get("family")),
        arms=[_arm(mapping(mapping(finding.get("arms")).get(arm)), bounds=False) for arm in ARMS],
        contrast=NOT_MEASURED,
        recovered=interval(finding.get("low"), finding.get("high")) if known else NOT_MEASURED,
        mark=outcome_mark(finding.get("outcome")),
        reason=text(finding.get("reason"), "no reason given"),
        facts=_n_facts(finding),
    )


def membership_words(outcome: str) -> str:
    """What an outcome means on this axis, where "recovered" has another sense."""
    return _MEMBERSHIP.get(outcome, "The outcome is not one that this version of the page knows.")


_MEMBERSHIP = {
    Outcome.RECOVERED.value: "Members can be told from strangers differently than with the control: "
    "the model gives away who was in the training data or who was taken out.",
    Outcome.NOT_RECOVERED.value: "No difference to the control beyond the margin was found.",
    Outcome.INCONCLUSIVE.value: "Neither a difference nor its absence was shown.",
    Outcome.NO_CONTRAST.value: "The original does not give its members away either, so this says nothing.",
}


def _n_facts(finding: Mapping[str, Any]) -> str:
    n, needed = finding.get("n_facts"), finding.get("facts_needed")
    have = text(n) if n else "none"
    return f"{have} of {text(needed)} needed" if needed else have


def _arm(score: Mapping[str, Any], *, bounds: bool = True) -> Strings:
    if number(score.get("mean")) is None:
        return {"mean": "no score", "bounds": "", "setting": ""}
    shown = interval(score.get("low"), score.get("high")) if bounds else ""
    return {"mean": decimals(score["mean"]), "bounds": shown, "setting": text(score.get("setting"), "")}


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
