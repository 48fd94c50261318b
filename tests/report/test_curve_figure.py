"""Curves show what the document holds, in order of budget, and nothing else."""

import re
from typing import Any

import pytest

from expunge.report.curve_figure import curve_figure, curves_of


def document(**curves: Any) -> dict[str, Any]:
    return {"curves": curves}


def texts(svg: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def test_each_attack_has_a_panel_and_each_arm_a_line() -> None:
    three = {arm: [[15, 0.1], [60, 0.4]] for arm in ("original", "unlearned", "control")}
    drawn = curve_figure(document(relearn=three, sampling=three), "c")
    assert {"relearn", "sampling", "15", "60", "original", "unlearned", "control"} <= set(texts(drawn))
    lines = drawn.count("clip_on") + len(re.findall(r'id="c-line2d_\d+"', drawn))
    fewer = curve_figure(document(relearn={"control": [[15, 0.1], [60, 0.4]]}), "c")
    assert lines > len(re.findall(r'id="c-line2d_\d+"', fewer))


def test_points_come_in_order_of_budget_and_only_if_they_are_numbers() -> None:
    points = [[60, 0.4], [15, 0.1], [30, float("nan")], ["15", 0.2], [1], "no", [True, 0.3], None]
    assert curves_of(document(relearn={"control": points})) == {"relearn": {"control": [(15.0, 0.1), (60.0, 0.4)]}}


@pytest.mark.parametrize(
    "curves",
    [None, [], "no", {}, {"relearn": None}, {"relearn": {"control": []}}, {"relearn": {"stranger": [[1, 0.5]]}}],
)
def test_nothing_to_draw_is_no_figure(curves: Any) -> None:
    assert curve_figure({"curves": curves}, "c") == ""
    assert curve_figure({}, "c") == ""


@pytest.mark.parametrize("budgets", [[5], [0, 5], [1, 128], [1e-9, 1e9], [-3, 4], [7, 7]])
def test_any_budgets_can_be_drawn(budgets: list[float]) -> None:
    drawn = curve_figure(document(a={"control": [[b, 0.5] for b in budgets]}), "c")
    assert f"{max(budgets):g}" in [text.replace("−", "-") for text in texts(drawn)]


def test_names_are_letters() -> None:
    drawn = curve_figure(document(**{"$x$ <script>": {"control": [[1, 0.5], [2, 2.5]]}}), "c")
    assert "$x$ &lt;script&gt;" in texts(drawn)
    assert "<script" not in drawn
