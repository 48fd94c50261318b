"""One row of dots a measure: where a model stands beside the retrained one, on a scale from 0 to 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.report.svg import COLOUR, draw_svg, short

WIDTH = 7.2  # inches: the text width of A4
ROW, LEFT, RIGHT, HEAD, AXIS = 0.3, 2.1, 0.2, 0.32, 0.42
_LOOK = {"model": ("D", "ink", -0.16), "retrained": ("s", "green", 0.16)}


@dataclass(frozen=True)
class Dots:
    """A measure's value with its bounds, of each model: (value, low, high), all in [0, 1]."""

    name: str
    spans: Mapping[str, tuple[float, float, float]]


def dot_figure(rows: Sequence[Dots], name: str) -> str:
    """Empty without rows. Whiskers are one-sided 95 % bounds, each way."""
    if not rows:
        return ""
    height = HEAD + ROW * len(rows) + AXIS

    def draw(figure: Any) -> None:
        box = (LEFT / WIDTH, AXIS / height, (WIDTH - LEFT - RIGHT) / WIDTH, ROW * len(rows) / height)
        axes = figure.add_axes(box)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for y, dots in enumerate(rows):
            axes.axhline(y + 0.5, color=COLOUR["rule"], linewidth=0.5)
            axes.text(
                -0.02,
                y,
                short(dots.name, 32),
                ha="right",
                va="center",
                transform=axes.get_yaxis_transform(),
                parse_math=False,
            )
            for who, (value, low, high) in dots.spans.items():
                marker, colour, offset = _LOOK[who]
                axes.plot([low, high], [y + offset] * 2, color=COLOUR[colour], linewidth=1.0)
                axes.plot([value], [y + offset], marker=marker, color=COLOUR[colour], markersize=5, linewidth=0)
        _finish(axes)

    return draw_svg(
        name, "Every share of the model and of the retrained model; the table has the numbers", draw, WIDTH, height
    )


def _finish(axes: Any) -> None:
    for who, (marker, colour, _) in _LOOK.items():
        axes.plot([], [], marker=marker, color=COLOUR[colour], markersize=5, linewidth=0, label=who)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        borderpad=0,
    )
    axes.tick_params(axis="x", labelsize=8, length=2.5, width=0.6)
    axes.set_xlabel("score", fontsize=8, labelpad=2)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
