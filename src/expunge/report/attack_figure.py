"""Figure A: what each attack found on each arm, with membership on an axis of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.report.claims import audit_of, findings_of
from expunge.report.finding_view import gap_words, recovered_words
from expunge.report.marks import Mark, outcome_mark
from expunge.report.svg import COLOUR, draw_svg, short
from expunge.report.words import mapping, number, text

WIDTH = 7.2  # inches: the text width of A4
ROW = 0.35
LEFT, RIGHT = 1.25, 2.65  # room for the names, and for the recovered fraction and its word
HEAD, AXIS, GAP = 0.36, 0.5, 0.2

MARKERS = {"circle": "o", "ring": "o", "up": "^", "down": "v", "diamond": "D", "square": "s", "bar": "_"}


@dataclass(frozen=True)
class ArmLook:
    """How an arm is drawn: its own marker, colour and height within the row."""

    marker: str
    colour: str
    size: float
    offset: float


ARMS = {
    "original": ArmLook("o", "sky", 6.0, -0.24),
    "unlearned": ArmLook("D", "ink", 6.0, 0.0),
    "control": ArmLook("s", "green", 5.5, 0.24),
}


def attack_figure(row: Mapping[str, Any], name: str) -> str:
    """One row of dots an attack; empty without an audit. Whiskers are the one-sided 95 % bounds, each way."""
    audit = audit_of(row)
    if audit is None or not (found := findings_of(row)):
        return ""
    member = mapping(audit.get("membership"))
    height = HEAD + ROW * len(found) + AXIS + (GAP + ROW + AXIS if member else 0)

    def draw(figure: Any) -> None:
        _legend(figure, height)
        top = height - HEAD
        _panel(figure, height, top, found, "score: share of facts, or probability of the value", recovered_words)
        if member:
            below = top - ROW * len(found) - AXIS - GAP
            _panel(figure, height, below, [member], "AUC, members against strangers (0.5: cannot tell)", gap_words)

    label = (
        "Scores of every attack on the original, the unlearned model and the control; the table below has the numbers"
    )
    return draw_svg(name, label, draw, WIDTH, height)


def _legend(figure: Any, height: float) -> None:
    y = 1 - 0.15 / height
    for x, (arm, look) in zip((0.175, 0.285, 0.41), ARMS.items(), strict=True):
        figure.add_artist(_dot(x + 0.008, y, look.marker, look.colour, look.size, figure.transFigure))
        figure.text(x + 0.022, y, arm, va="center", color=COLOUR["ink"])
    edge = 1 - RIGHT / WIDTH + 0.02
    figure.text(edge, y, "RF [bounds]", va="center", color=COLOUR["muted"])
    figure.text(edge + 0.205, y, "outcome", va="center", color=COLOUR["muted"])


def _dot(x: float, y: float, marker: str, colour: str, size: float, transform: Any, hollow: bool = False) -> Any:
    from matplotlib.lines import Line2D

    face = "none" if hollow else COLOUR[colour]
    look: dict[str, Any] = {
        "markeredgecolor": COLOUR[colour],
        "markerfacecolor": face,
        "markeredgewidth": 1.4 if hollow else 0.8,
    }
    return Line2D(
        [x], [y], marker=marker, markersize=size, linestyle="none", transform=transform, clip_on=False, **look
    )


def _panel(
    figure: Any, height: float, top: float, found: Sequence[Mapping[str, Any]], axis_label: str, words: Any
) -> None:
    """One axis with a line of dots per finding; `top` in inches from the bottom of the figure."""
    tall = ROW * len(found)
    box = (LEFT / WIDTH, (top - tall) / height, (WIDTH - LEFT - RIGHT) / WIDTH, tall / height)
    axes = figure.add_axes(box)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(*_span(found))
    axes.set_xlabel(axis_label, fontsize=8, labelpad=2)
    axes.tick_params(axis="x", labelsize=8, length=2.5, width=0.6)
    axes.set_yticks([])
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "parse_math": False}
    for y, finding in enumerate(found):
        axes.axhline(y + 0.5, color=COLOUR["rule"], linewidth=0.6, zorder=0)
        axes.text(-0.03, y, short(text(finding.get("attack")), 20), ha="right", **beside)
        _dots(axes, y, mapping(finding.get("arms")))
        mark = outcome_mark(finding.get("outcome"))
        axes.text(1.045, y, words(finding), fontsize=8.5, **beside)
        axes.add_line(_shape(axes, y, mark))
        axes.text(1.508, y, mark.word, fontsize=8, **beside)


def _shape(axes: Any, y: float, mark: Mark) -> Any:
    return _dot(1.475, y, MARKERS[mark.shape], mark.colour, 5.5, axes.get_yaxis_transform(), mark.shape == "ring")


def _dots(axes: Any, y: float, arms: Mapping[str, Any]) -> None:
    drawn = False
    for arm, look in ARMS.items():
        score = mapping(arms.get(arm))
        if (mean := number(score.get("mean"))) is None:
            continue
        drawn = True
        low, high = number(score.get("low")), number(score.get("high"))
        if low is not None and high is not None and high > low:
            axes.plot([low, high], [y + look.offset] * 2, color=COLOUR[look.colour], linewidth=1.4, clip_on=False)
        axes.add_line(_dot(mean, y + look.offset, look.marker, look.colour, look.size, axes.transData))
    if not drawn:
        axes.text(
            0.5, y, "no score", ha="center", va="center", color=COLOUR["muted"], transform=axes.get_yaxis_transform()
        )


def _span(found: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """0 to 1, wider only if a score lies outside."""
    scores = [mapping(s) for f in found for s in mapping(f.get("arms")).values()]
    known = [v for s in scores for k in ("mean", "low", "high") if (v := number(s.get(k))) is not None]
    return min([0.0, *known]) - 0.03, max([1.0, *known]) + 0.03
