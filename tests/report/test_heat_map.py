"""A silence and a missing measurement never look alike, and every attack of the battery has its row."""

import re
from collections.abc import Callable
from typing import Any

from expunge.report.heat_map import arms_of, cell, heat_map, lines_of

Make = Callable[..., dict[str, Any]]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def raw(**arms: Any) -> dict[str, Any]:
    return {"arms": {arm: {"scores": scores} for arm, scores in arms.items()}}


def test_every_score_is_a_number_in_its_cell(audit: Make, finding: Make) -> None:
    document = audit(findings=[finding("direct", 0.41, "RECOVERED", 0.44)])
    shown = texts(heat_map(document, "h"))
    for word in ("0.97", "0.44", "0.04", "0.41 [0.36, 0.46]", "RECOVERED", "direct", "unlearned"):
        assert word in shown


def test_what_did_not_run_is_hatched_and_has_no_number(audit: Make, finding: Make) -> None:
    ran = heat_map(audit(findings=[finding("direct", 0.1, "INCONCLUSIVE")], membership=None), "h")
    none = heat_map(audit(findings=[finding("direct", None, "INCONCLUSIVE")], membership=None), "h")
    assert (
        none.count("fill: url(#h-") == ran.count("fill: url(#h-") + 3
    )  # a hatch is a pattern; the rest is the legend's
    assert "did not run, or gave no score" in texts(none)
    assert not [word for word in texts(none) if re.fullmatch(r"0\.\d\d", word)]
    assert "no RF" in texts(none)


def test_raw_scores_are_shown_where_nothing_could_be_judged() -> None:
    """Without a control no finding has scores; the arms that were attacked have."""
    document = raw(original={"direct": {"a": [1.0, 0.0], "b": [1.0, 1.0]}}) | {
        "findings": [{"attack": "direct", "family": "plain", "arms": {}, "outcome": "INCONCLUSIVE"}]
    }
    assert cell(document, "direct", "original").word == "1.00"  # the best setting, as a finding has it
    assert cell(document, "direct", "control").share is None


def test_a_score_that_is_no_number_is_said_to_be_none() -> None:
    for bad in (float("nan"), float("inf"), "0.5", None):
        found = cell(raw(control={"direct": {"a": [0.5, bad]}}), "direct", "control")
        assert (found.word, found.share) == ("no number", None)


def test_scores_outside_of_0_to_1_keep_their_number() -> None:
    found = cell(raw(control={"direct": {"a": [1.5, 2.5]}}), "direct", "control")
    assert (found.word, found.share) == ("2.00", 1.0)


def test_an_attack_that_was_skipped_has_a_row(audit: Make, finding: Make) -> None:
    document = audit(findings=[finding("direct", 0.1, "INCONCLUSIVE")])  # the battery names relearn too
    (skipped,) = [line for line in lines_of(document) if line.attack == "relearn"]
    assert not skipped.finding
    assert "relearn" in texts(heat_map(document, "h"))
    assert "UNKNOWN" in texts(heat_map(document, "h"))


def test_scores_of_members_and_strangers_have_no_row_among_the_attacks_on_recall() -> None:
    document = raw(control={"guess": {"members": [1.0], "others": [0.0]}})
    document["battery"] = {"attacks": ["direct", "membership_reference", "guess"]}
    assert [line.attack for line in lines_of(document)] == ["direct"]


def test_a_second_control_has_a_column() -> None:
    document = raw(**{"second control": {"direct": {"a": [0.5]}}}) | {"battery": {"attacks": ["direct"]}}
    assert arms_of(document) == ["original", "unlearned", "control", "second control"]
    shown = texts(heat_map(document, "h"))
    assert {"second", "0.50"} <= set(shown)


def test_letters_that_look_like_mathematics_or_markup_stay_letters() -> None:
    document = {"findings": [{"attack": "$a^2$ <b>", "outcome": "<script>", "family": "\x00&"}]}
    shown = heat_map(document, "h")
    assert "$a^2$ &lt;b&gt;" in texts(shown)
    assert "<script" not in shown


def test_nothing_to_draw_is_no_figure() -> None:
    assert heat_map({}, "h") == ""
    assert heat_map({"battery": {"attacks": "direct"}, "findings": "none"}, "h") == ""


def test_the_same_document_gives_the_same_drawing(audit: Make) -> None:
    assert heat_map(audit(), "h") == heat_map(audit(), "h")
