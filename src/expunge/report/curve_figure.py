"""Curves over budget: how much came back as an attack may spend more, one small panel an attack, one line an arm.

A gap that opens with the budget between the unlearned model and the control is what hiding looks like; two lines that
rise together are what anybody could learn without the data.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from expunge.report.attack_figure import ARMS
from expunge.report.svg import COLOUR, draw_svg, short
from expunge.report.words import items, mapping, number, text

WIDTH, COLUMNS = 7.2, 3
PANEL, HEAD, TITLE, AXIS = 1.2, 0.32, 0.3, 0.42  # inches
LEFT, RIGHT, BETWEEN = 0.42, 0.08, 0.32
LINES = {"original": (1.2, (0, (4, 2))), "unlearned": (1.8, "solid"), "control": (1.2, "solid")}  # width and dashes
LOG_FROM = 10.0  # a budget that spans more than this factor is drawn on a log scale

Points = list[tuple[float, float]]


def curve_figure(document: Mapping[str, Any], name: str) -> str:
    """Small multiples with one scale of score for all; empty if no attack has a curve."""
    curves = curves_of(document)
    if not curves:
        return ""
    n_rows = math.ceil(len(curves) / COLUMNS)
    each = TITLE + PANEL + AXIS
    height = HEAD + each * n_rows
    wide = (WIDTH - LEFT - RIGHT - BETWEEN * (COLUMNS - 1)) / COLUMNS

    def draw(figure: Any) -> None:
        _legend(figure, height)
        for i, (attack, lines) in enumerate(curves.items()):
            left = LEFT + (i % COLUMNS) * (wide + BETWEEN)
            top = height - HEAD - each * (i // COLUMNS) - TITLE
            axes = figure.add_axes((left / WIDTH, (top - PANEL) / height, wide / WIDTH, PANEL / height))
            _panel(axes, attack, lines, numbered=i % COLUMNS == 0)

    label = "Score over budget for each attack that has a sweep, on the original, the unlearned model and the control"
    return draw_svg(name, label, draw, WIDTH, height)


def curves_of(document: Mapping[str, Any]) -> dict[str, dict[str, Points]]:
    """Attack -> arm -> (budget, mean score) in order of budget; what is not a pair of numbers is left out.

    >>> curves_of({"curves": {"relearn": {"control": [[60, 0.2], [15, 0.1], [1, None]]}, "direct": {}}})
    {'relearn': {'control': [(15.0, 0.1), (60.0, 0.2)]}}
    """
    found: dict[str, dict[str, Points]] = {}
    for attack, arms in mapping(document.get("curves")).items():
        lines = {arm: _points(mapping(arms).get(arm)) for arm in ARMS}
        if known := {arm: points for arm, points in lines.items() if points}:
            found[text(attack)] = known
    return found


def _points(value: object) -> Points:
    pairs = [(number(items(pair)[0]), number(items(pair)[1])) for pair in items(value) if len(items(pair)) == 2]
    return sorted((budget, mean) for budget, mean in pairs if budget is not None and mean is not None)


def _legend(figure: Any, height: float) -> None:
    from matplotlib.lines import Line2D

    y = 1 - 0.12 / height
    for i, (arm, look) in enumerate(ARMS.items()):
        x, (width, dashes) = LEFT / WIDTH + 0.15 * i, LINES[arm]
        colour = COLOUR[look.colour]
        line = Line2D([x, x + 0.022, x + 0.044], [y] * 3, color=colour, linewidth=width, linestyle=dashes)
        line.set(marker=look.marker, markersize=4.5, markevery=[1], transform=figure.transFigure)
        figure.add_artist(line)
        figure.text(x + 0.052, y, arm, va="center", color=COLOUR["ink"])
    figure.text(
        1 - RIGHT / WIDTH, y, "score over budget (steps, samples or prompts)", va="center", ha="right", fontsize=8,
        color=COLOUR["muted"],
    )  # fmt: skip


def _panel(axes: Any, attack: str, lines: Mapping[str, Points], *, numbered: bool) -> None:
    axes.set_title(short(attack, 26), fontsize=9, color=COLOUR["ink"], loc="left", pad=4, parse_math=False)
    budgets = sorted({budget for points in lines.values() for budget, _ in points})
    scores = [score for points in lines.values() for _, score in points]
    axes.set_ylim(min([0.0, *scores]) - 0.04, max([1.0, *scores]) + 0.04)
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "0.5", "1"] if numbered else ["", "", ""])
    _budget_axis(axes, budgets)
    axes.grid(axis="y", color=COLOUR["rule"], linewidth=0.6)
    axes.set_axisbelow(True)
    for arm, points in lines.items():
        look, (width, dashes) = ARMS[arm], LINES[arm]
        axes.plot(
            *zip(*points, strict=True),
            color=COLOUR[look.colour],
            linewidth=width,
            linestyle=dashes,
            marker=look.marker,
            markersize=3.5,
            clip_on=False,
        )
    axes.tick_params(labelsize=8, length=2.5, width=0.6, color=COLOUR["muted"], labelcolor=COLOUR["muted"])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _budget_axis(axes: Any, budgets: Sequence[float]) -> None:
    """Ticks at budgets that were spent, as many as can be read."""
    from matplotlib.ticker import NullLocator

    low, high = budgets[0], budgets[-1]
    if low > 0 and high / low >= LOG_FROM:
        axes.set_xscale("log")
    elif low == high:
        axes.set_xlim(low - 1, high + 1)
    ticks = spread(budgets, axes.get_xscale() == "log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def spread(budgets: Sequence[float], logarithmic: bool, apart: float = 0.16) -> list[float]:
    """The last budget and those before it that stand far enough from the one after, so that numbers do not touch.

    >>> spread([1, 2, 4, 64, 128], logarithmic=True), spread([1, 2, 30, 60], logarithmic=False)
    ([1, 4, 128], [2, 30, 60])
    """
    place = {b: math.log(b) if logarithmic else b for b in budgets}
    width = place[budgets[-1]] - place[budgets[0]]
    ticks = [budgets[-1]]
    for budget in reversed(budgets[:-1]):
        if place[ticks[-1]] - place[budget] >= apart * width:
            ticks.append(budget)
    return ticks[::-1]
