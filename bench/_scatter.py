"""Removed against kept: one point a method, the best in the upper right corner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expunge.report.svg import COLOUR, draw_svg

WIDTH, HEIGHT, SIDE = 7.2, 4.2, 3.3  # inches; SIDE is the plot's own
_LIGHT = (
    "--ink:#1b1d20;--muted:#5a6068;--rule:#d9dce0;--paper:#fff;--blue:#0072b2;--green:#009e73;"
    "--sans:system-ui,sans-serif"
)
_LOOK = {True: ("s", "green"), False: ("o", "blue")}


@dataclass(frozen=True)
class Point:
    """`removed` is 1 - the most that any attack recovered, `kept` the retained accuracy over the original's."""

    name: str
    removed: float
    kept: float
    cost: float
    baseline: bool


def scatter(points: Sequence[Point], name: str, best: tuple[float, float]) -> str:
    """A page of its own. Points are numbered; the names stand beside, with the cost. `best` is the corner that is aimed at."""

    def draw(figure: Any) -> None:
        axes = figure.add_axes((0.6 / WIDTH, 0.55 / HEIGHT, SIDE / WIDTH, SIDE / HEIGHT))
        axes.set_xlim(-0.05, 1.08)
        axes.set_ylim(-0.05, 1.08)
        axes.fill_between([best[0], 1.08], best[1], 1.08, color=COLOUR["rule"], linewidth=0)
        axes.set_xlabel("removed: 1 - the most that any attack recovered")
        axes.set_ylabel("kept: retained facts right, over the original's")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        places = [(min(1.05, max(-0.03, p.removed)), min(1.05, max(-0.03, p.kept))) for p in points]
        labels = apart(places)
        for i, p in enumerate(points, 1):
            marker, colour = _LOOK[p.baseline]
            (x, y), label = places[i - 1], labels[i - 1]
            axes.plot([x], [y], marker=marker, color=COLOUR[colour], markersize=4, linewidth=0)
            axes.annotate(
                str(i),
                (x, y),
                label,
                fontsize=6,
                ha="center",
                va="center",
                arrowprops={"arrowstyle": "-", "linewidth": 0.3, "color": COLOUR["muted"], "shrinkA": 4, "shrinkB": 2},
            )
            top = 1 - (0.25 + 0.125 * i) / HEIGHT
            said = f"{i}  {p.name}  {p.cost:.2f}"
            figure.text((SIDE + 0.95) / WIDTH, top, said, fontsize=7, color=COLOUR[colour], parse_math=False)
        heading = "number, method, cost over retraining"
        figure.text((SIDE + 0.95) / WIDTH, 1 - 0.25 / HEIGHT, heading, fontsize=7, color=COLOUR["muted"])

    svg = draw_svg(name, "What each method removed and what it kept", draw, WIDTH, HEIGHT)
    return svg.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" style="{_LIGHT}" ', 1)


def apart(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where each point's label stands: below it, as near as no other label or point is in the way."""
    found: dict[int, tuple[float, float]] = {}
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        x, y = places[i]
        for step in range(100):
            label = (x, y - 0.045 - 0.012 * step)
            taken = [*found.values(), *(other for other in places if other != places[i])]
            if not any(abs(label[0] - a) < 0.04 and abs(label[1] - b) < 0.038 for a, b in taken):
                break
        found[i] = label
    return [found[i] for i in range(len(places))]
