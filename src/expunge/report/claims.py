"""What one row's evidence allows to be said, and what it does not.

The level is the audit's own, and it is shown only if its findings, judged again, carry it. A document that contradicts
itself shows none, and flags that its findings raise are shown even where it leaves them out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core import Assurance, Flag, Outcome
from expunge.report.carried import carried, raised
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
    """The audit's level, or None where there is none or its findings do not carry it."""
    audit = audit_of(row) or {}
    name = audit.get("assurance")
    if not isinstance(name, str) or name not in Assurance.__members__:
        return None
    level = Assurance[name]
    if level is Assurance.EXACT and row.get("replay") is False:
        return None
    return level if level <= max(carried(audit), _of_procedure(audit)) else None


def lent_by_procedure(row: Mapping[str, Any]) -> bool:
    """Whether the level shown is that of the procedure, which the findings about these people do not carry themselves."""
    level = level_of(row)
    return level is not None and level > carried(audit_of(row) or {})


def _of_procedure(audit: Mapping[str, Any]) -> Assurance:
    """What the same method earned on canary people, as far as what was found about these people lets it stand.

    Its findings are in a document of its own, so this is its word, capped by its own flags. EXACT is never lent: it needs
    a replay of this very result.
    """
    procedure = mapping(audit.get("procedure"))
    name, flags = procedure.get("assurance"), procedure.get("flags")
    if not isinstance(name, str) or name not in Assurance.__members__ or not isinstance(flags, list | tuple):
        return Assurance.CLAIMED
    against = {*map(str, flags), *raised(audit)}
    if against & {Flag.DAMAGED, Flag.RETAINED} or Flag.PARTIAL in set(raised(audit)):
        return Assurance.CLAIMED
    cap = Assurance.SUPPRESSED if against & {Flag.HIDDEN, Flag.PARTIAL} else Assurance.RESISTS_WHITE_BOX
    return min(Assurance[name], cap) if Assurance[name] < Assurance.CERTIFIED else Assurance.CLAIMED


def level_word(row: Mapping[str, Any]) -> str:
    """The level's name as tables print it."""
    if audit_of(row) is None:
        return NOT_RUN
    level = level_of(row)
    return UNKNOWN if level is None else level.name


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """The audit's flags as they stand, and those that its findings raise and it leaves out."""
    audit = audit_of(row)
    if audit is None:
        return []
    named = [text(flag) for flag in items(audit.get("flags"))]
    # Doubts about these people alone are the procedure's to settle; what was recovered or wrecked is not.
    settled = {Flag.INCONCLUSIVE.value} if mapping(audit.get("procedure")) else set()
    return list(dict.fromkeys([*named, *(flag for flag in raised(audit) if flag not in settled)]))


def flag_sentence(flag: str) -> str:
    return Flag(flag).sentence if flag in set(Flag) else "A flag that this version of the page does not know."


def may_be_claimed(row: Mapping[str, Any]) -> str:
    """The level's sentence, or why there is none."""
    if audit_of(row) is None:
        return NO_AUDIT
    level = level_of(row)
    if level is None:
        return WITHHELD
    return f"{level.sentence} {_LENT}" if lent_by_procedure(row) else level.sentence


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


_LENT = (
    "This is the level of the procedure, earned on canary people whose findings are not in this document; "
    "these people are too few for a level of their own."
)
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
