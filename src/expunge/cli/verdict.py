"""An audit in a terminal, and the exit code it stands for. The words are those of its page: one rule for both."""

from collections.abc import Mapping
from typing import Any

from expunge.cli.show import say, table
from expunge.core import Flag, Outcome

FAILS = {Flag.HIDDEN, Flag.RETAINED, Flag.PARTIAL, Flag.DAMAGED, Flag.TAINTED, Flag.EXPIRED}


def exit_code(document: Mapping[str, Any]) -> int:
    """1 if something came back or the model is wrecked, 3 if the evidence does not suffice, else 0."""
    from expunge.report.audit_view import as_row
    from expunge.report.claims import flags_of, level_of

    row = as_row(document)
    flags = set(flags_of(row))
    if FAILS & flags:
        return 1
    return 3 if Flag.INCONCLUSIVE in flags or level_of(row) is None else 0


def show_audit(document: Mapping[str, Any], *, power_told: bool = False) -> None:
    """Findings as a table, why some say nothing, then what may be claimed, and the flags with what they mean.

    What the probes could show belongs before the run; it is said here where it was not told.
    """
    from expunge.report.audit_view import as_row, power_words, skill_words
    from expunge.report.claims import findings_of, flag_sentence, flags_of, level_word, may_be_claimed
    from expunge.report.finding_view import finding_view, membership_view
    from expunge.report.words import NOT_RUN, items, mapping, text

    row = as_row(document)
    member = membership_view(mapping(document.get("membership")))
    views = [finding_view(f) for f in findings_of(row)] + ([member] if member else [])
    if views:
        table("What each attack recovered", [_line(view) for view in views])
    for view in views:
        if view.mark.word != Outcome.NOT_RECOVERED:
            say(f"  {view.attack}: {view.reason}")
    for sentence in () if power_told else power_words(document):
        say(sentence)
    replay = (
        "matched" if document.get("replay") is True else "did NOT match" if document.get("replay") is False else NOT_RUN
    )
    say(f"retained skill: {skill_words(document)}; replay: {replay}")
    if mapping(document.get("control")).get("kind") == "placebo":
        say(
            ("note", "yellow"), ": the control was made-up facts, which is weaker than a model trained without the data"
        )
    for note in items(document.get("notes")):
        say(("note", "yellow"), f": {text(note)}")
    say((level_word(row), "bold"), f": {may_be_claimed(row)}")
    for flag in flags_of(row):
        say((flag, "bold"), f": {flag_sentence(flag)}")


def _line(view: Any) -> dict[str, str]:
    arms = dict(zip(("original", "unlearned", "control"), (arm["mean"] for arm in view.arms), strict=True))
    return {
        "attack": view.attack,
        **{arm: "–" if mean == "no score" else mean for arm, mean in arms.items()},
        "recovered": view.recovered if "[" in view.recovered else "–",
        "outcome": view.mark.word,
    }


def show_exposure(document: Mapping[str, Any]) -> None:
    """What one model brings out of somebody's data: each attack beside made-up twins, then the sentence."""
    from expunge.report.words import decimals, items, mapping, text

    rows = []
    for seen in map(mapping, items(document.get("attacks"))):
        rows.append(
            {
                "attack": text(seen.get("attack")),
                "this data": decimals(seen.get("facts"), "–"),
                "made-up twins": decimals(seen.get("twins"), "–"),
                "beyond the twins": decimals(seen.get("share"), "–"),
                "at least": decimals(seen.get("low"), "–"),
            }
        )
    if rows:
        table("What the model brings out", rows)
    for seen in map(mapping, items(document.get("attacks"))):
        if seen.get("reason"):
            say(f"  {text(seen.get('attack'))}: {text(seen.get('reason'))}")
    say(("FOUND" if document.get("found") is True else "NOT SHOWN", "bold"), f": {text(document.get('sentence'))}")
    say(
        "One model alone carries no level and no pass. What it knows from elsewhere, or can guess from a question, counts as "
        "brought out. To show that data is gone, compare with a model trained without it: --original, --unlearned, --control"
    )
