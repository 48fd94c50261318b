"""Figure B: what each route cost beside training again without the data, on a log scale."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from expunge.report.svg import COLOUR, draw_svg, short
from expunge.report.words import number, percent, text

WIDTH = 7.2
ROW = 0.34
LEFT, RIGHT = 2.3, 0.9
TOP, AXIS = 0.08, 0.5


def cost_figure(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """One bar a method, and full retraining as the last; empty if no row has a cost above 0."""
    costs = [number(row.get("cost")) for row in rows]
    positive = [cost for cost in costs if cost is not None and cost > 0]
    if not positive:
        return ""
    labels = [(text(row.get("method")), text(row.get("route"))) for row in rows]
    bars = [*zip(labels, costs, strict=True), (("full retraining", ""), 1.0)]
    height = TOP + ROW * len(bars) + AXIS
    low = 10.0 ** (math.floor(math.log10(min(positive) * 0.999)))

    def draw(figure: Any) -> None:
        box = (LEFT / WIDTH, AXIS / height, (WIDTH - LEFT - RIGHT) / WIDTH, ROW * len(bars) / height)
        axes = figure.add_axes(box)
        axes.set_xscale("log")
        axes.set_xlim(low, max([1.0, *positive]))
        axes.set_ylim(len(bars) - 0.5, -0.5)
        for y, ((method, route), cost) in enumerate(bars):
            _bar(axes, y, method, route, cost, low)
        axes.axvline(1.0, color=COLOUR["ink"], linewidth=0.8, linestyle=(0, (3, 2)))
        _axis(axes, low, max([1.0, *positive]))

    return draw_svg(name, "Cost of each method as a share of full retraining, logarithmic", draw, WIDTH, height)


def _bar(axes: Any, y: int, method: str, route: str, cost: float | None, low: float) -> None:
    across = axes.get_yaxis_transform()
    last = not route
    colour = COLOUR["muted"] if last else COLOUR["blue"]
    beside = {"va": "center", "parse_math": False}
    axes.text(-0.02, y, short(method, 34), ha="right", transform=across, **beside)
    if cost is not None and cost > 0:
        axes.barh(y, cost - low, left=low, height=0.56, color=colour, hatch="////" if last else None)
        axes.annotate(percent(cost), (cost, y), (5, 0), textcoords="offset points", annotation_clip=False, **beside)
    else:
        axes.text(
            0.015, y, "UNKNOWN" if cost is None else f"{cost:g}: no bar on a log scale", transform=across, **beside
        )


def _axis(axes: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    ticks = [10.0**e for e in range(round(math.log10(low)), math.floor(math.log10(high)) + 1)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick * 100:g} %" for tick in ticks])
    axes.set_xlabel("cost as a share of full retraining, log scale", fontsize=8, labelpad=2)
    axes.tick_params(axis="x", labelsize=8, length=2.5, width=0.6)
    axes.set_yticks([])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
