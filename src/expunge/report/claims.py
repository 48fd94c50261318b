"""What one row's evidence allows to be said, and what it does not.

The level is the audit's own. Three contradictions inside a document withhold it: a name that is no level, EXACT without
a replay that matched, and a level above SUPPRESSED beside an attack that recovered the data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core import Assurance, Flag, Outcome
from expunge.report.words import NOT_RUN, UNKNOWN, items, mapping, text

WITHHELD = "The audit names a level that its own content does not carry; no level is shown."
NO_AUDIT = "No audit was run: nothing is shown about what the model still recalls."


def audit_of(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    audit = row.get("audit")
    return audit if isinstance(audit, Mapping) and audit else None


def findings_of(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The audit's findings on recall; membership is not among them."""
    return [f for f in items((audit_of(row) or {}).get("findings")) if isinstance(f, Mapping)]


def level_of(row: Mapping[str, Any]) -> Assurance | None:
    """The audit's level, or None where there is none or the document contradicts it."""
    audit = audit_of(row) or {}
    name = audit.get("assurance")
    if not isinstance(name, str) or name not in Assurance.__members__:
        return None
    level = Assurance[name]
    replayed = audit.get("replay") is True and row.get("replay") is not False
    if level is Assurance.EXACT and not replayed:
        return None
    recovered = any(f.get("outcome") == Outcome.RECOVERED for f in findings_of(row))
    return None if recovered and level > Assurance.SUPPRESSED else level


def level_word(row: Mapping[str, Any]) -> str:
    """The level's name as tables print it."""
    if audit_of(row) is None:
        return NOT_RUN
    level = level_of(row)
    return UNKNOWN if level is None else level.name


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """The audit's flags, as they stand."""
    return [text(flag) for flag in items((audit_of(row) or {}).get("flags"))]


def flag_sentence(flag: str) -> str:
    return Flag(flag).sentence if flag in set(Flag) else "A flag that this version of the page does not know."


def may_be_claimed(row: Mapping[str, Any]) -> str:
    """The level's sentence, or why there is none."""
    if audit_of(row) is None:
        return NO_AUDIT
    level = level_of(row)
    return WITHHELD if level is None else level.sentence


def may_not_be_claimed(row: Mapping[str, Any]) -> list[str]:
    """The sentences that a reader might add and the evidence does not carry, nearest first."""
    level = level_of(row) or Assurance.CLAIMED
    denied = [sentence for needed, sentence in _STRONGER if level < needed]
    if level is Assurance.EXACT:
        denied += _BESIDE_EXACT
        if undecided := _undecided(row):
            denied.append(
                f"That the attacks confirm it: {undecided} of {len(findings_of(row))} could not decide. "
                "The replay carries the claim."
            )
    else:
        denied.append("That the data is absent: attacks bound leakage from below and never prove absence.")
    denied += _about_the_promise(row)
    member = mapping((audit_of(row) or {}).get("membership"))
    if member.get("outcome") != Outcome.NOT_RECOVERED:
        why = "the membership test did not show it" if member else "no membership test was run"
        denied.append(f"That nobody can tell who was in the training data: {why}.")
    denied.append("That any law is complied with: this page reports measurements.")
    return denied


# Each sentence stands until its level is reached.
_STRONGER = (
    (Assurance.SUPPRESSED, "That plain questions no longer bring the data out."),
    (Assurance.RESISTS_BLACK_BOX, "That other ways of asking do not bring the data out."),
    (Assurance.RESISTS_WHITE_BOX, "That somebody who holds the weights cannot bring the data out."),
    (Assurance.CERTIFIED, "That leakage is bounded by a theorem."),
    (Assurance.EXACT, "That the model is the one that training without the data would have given."),
)
_BESIDE_EXACT = (
    "That the facts cannot be guessed: a model that never saw them may still infer some from what remains.",
    "That choices outside the recorded recipe were free of the data (base model, hyperparameters, number of units, "
    "router, thresholds), unless the assumptions say so.",
)


def _undecided(row: Mapping[str, Any]) -> int:
    return sum(f.get("outcome") != Outcome.NOT_RECOVERED for f in findings_of(row))


def _about_the_promise(row: Mapping[str, Any]) -> list[str]:
    audit, promise = audit_of(row) or {}, mapping(row.get("promise"))
    denied = []
    if promise.get("adaptive_safe") is not True:
        denied.append(
            "That it holds for requests chosen after the model's outputs were seen "
            f"(adaptive-safe: {text(promise.get('adaptive_safe'))})."
        )
    given, judged = row.get("guarantee"), audit.get("guarantee")
    if given and judged and given != judged:
        denied.append(f"That the audit is of this promise: the row says {given}, the audit was judged as {judged}.")
    return denied
