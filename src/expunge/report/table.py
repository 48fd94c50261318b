"""The summary, one row a method, in the words that the page and the command line both print."""

from collections.abc import Mapping
from typing import Any

from expunge.core import Guarantee
from expunge.core.errors import InvalidData
from expunge.report.claims import audit_of, findings_of, flags_of, level_word
from expunge.report.finding_view import mean_of, measured, recovered_words
from expunge.report.words import NOT_MEASURED, NOT_RUN, UNKNOWN, percent, seconds, text

COLUMNS = {
    "method": "method",
    "guarantee": "promised",
    "cost": "cost vs retraining",
    "recall": "plain answers recalled",
    "recovered": "most recovered",
    "attack": "by attack",
    "retained": "retained skill",
    "flags": "flags",
    "assurance": "assurance shown",
}


def summary_rows(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """The formatted strings of the summary table; the keys are those of `COLUMNS`.

    Unit: `recovered` is a recovered fraction with its bounds, the largest point value over the attacks that have one.

    Raises: InvalidData, if `rows` is not a list of mappings.

    >>> summary_rows({"rows": [{"method": "npo", "guarantee": "EMPIRICAL"}]})[0]["assurance"]
    'not run'
    """
    return [_summary(row) for row in rows_of(document)]


def rows_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """
    Raises: InvalidData, if `rows` is not a list of mappings.
    """
    rows = document.get("rows")
    if rows is None:
        return []
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidData(
            "a report needs `rows` as a list of mappings, one a method; leave it out if nothing was removed"
        )
    return list(rows)


def guarantee_words(row: Mapping[str, Any]) -> str:
    """The promise, with the sense in which an EXACT result is equal."""
    guarantee, equality = row.get("guarantee"), row.get("equality")
    if guarantee == Guarantee.EXACT or equality:
        return f"{text(guarantee)} ({text(equality, 'equality UNKNOWN')})"
    return text(guarantee)


def cost_words(row: Mapping[str, Any]) -> str:
    """Cost as a fraction, and the two times beside it where they were measured.

    >>> cost_words({"cost": 0.25, "seconds": 1, "retrain_seconds": 4})
    '25 % (1.0 s of 4.0 s)'
    >>> cost_words({"cost": 0.2, "seconds": 11}), cost_words({"seconds": 11})
    ('20 % (11 s; retraining was not timed)', '11 s; retraining was not timed')
    """
    spent, whole = (seconds(row.get(key)) for key in ("seconds", "retrain_seconds"))
    known = percent(row.get("cost"))
    if spent == UNKNOWN and whole == UNKNOWN:
        return known
    if whole == UNKNOWN:
        alone = f"{spent}; retraining was not timed"
        return alone if known == UNKNOWN else f"{known} ({alone})"
    return f"{known} ({spent} of {whole})"


def _summary(row: Mapping[str, Any]) -> dict[str, str]:
    strings = {"method": text(row.get("method")), "guarantee": guarantee_words(row), "cost": cost_words(row)}
    audit = audit_of(row)
    if audit is None:
        return strings | dict.fromkeys(list(COLUMNS)[3:], NOT_RUN)
    recovered, attack = _most_recovered(row)
    return strings | {
        "recall": _recall(row),
        "recovered": recovered,
        "attack": attack,
        "retained": percent(audit.get("skill"), NOT_MEASURED, floor=True),
        "flags": _flags(row, audit),
        "assurance": level_word(row),
    }


def _flags(row: Mapping[str, Any], audit: Mapping[str, Any]) -> str:
    if not isinstance(audit.get("flags"), list | tuple):
        return UNKNOWN
    return ", ".join(flags_of(row)) or "none"


def _recall(row: Mapping[str, Any]) -> str:
    """Plain recall of the unlearned arm, beside the two arms without which the number means nothing."""
    plain = next((f for f in findings_of(row) if f.get("attack") == "direct"), {})
    if mean_of(plain, "unlearned") is None:
        return NOT_MEASURED
    beside = ", ".join(f"{arm} {percent(mean_of(plain, arm))}" for arm in ("original", "control"))
    return f"{percent(mean_of(plain, 'unlearned'))} ({beside})"


def _most_recovered(row: Mapping[str, Any]) -> tuple[str, str]:
    """The largest recovered fraction with its bounds, and the attack with its outcome."""
    found = findings_of(row)
    known = measured(found)
    if not known:
        return NOT_MEASURED, f"none of {len(found)} could be judged" if found else NOT_RUN
    attack = f"{text(known[0].get('attack'))} ({text(known[0].get('outcome'))})"
    if len(known) < len(found):
        attack += f"; {len(known)} of {len(found)} attacks measured"
    return recovered_words(known[0], NOT_MEASURED), attack
