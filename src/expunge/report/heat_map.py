"""The heat map: every attack on every arm. Colour and number are the score; the outcome stands beside each row.

One hue, stronger where more came back, so that it reads without colour vision and in grey; an attack that did not run is
hatched, never pale: a silence and a missing measurement must not look alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from expunge.report.attack_figure import MARKERS
from expunge.report.finding_view import gap_words, mean_of, recovered_words
from expunge.report.marks import outcome_mark
from expunge.report.svg import COLOUR, draw_svg, short
from expunge.report.words import decimals, items, mapping, number, text
from expunge.verify.scores import ARMS

FAMILIES = ("plain", "black box", "relearning", "perturbation", "reading", "soft prompt")

WIDTH = 7.2  # inches: the text width of A4
ROW, HEAD, FOOT, GAP = 0.27, 0.42, 0.34, 0.12
NAMES, CELLS, LAST = 2.22, 4.82, 6.12  # where cells begin and end, and where outcomes begin
STRONGEST = 0.62  # opacity of a score of 1: dark letters stay readable on it


@dataclass(frozen=True)
class Cell:
    """One attack on one arm. `share` decides the colour; without one the cell is hatched, and `word` says why if known."""

    word: str
    share: float | None


NOT_RUN = Cell("", None)


@dataclass(frozen=True)
class Line:
    """One attack: its cells and its finding, empty where the battery names an attack that no finding is about."""

    attack: str
    family: str
    cells: tuple[Cell, ...]
    finding: Mapping[str, Any]


def heat_map(document: Mapping[str, Any], name: str) -> str:
    """One row an attack, one column an arm, membership below on its own axis; empty for a document without attacks."""
    arms, lines = arms_of(document), lines_of(document)
    if not lines:
        return ""
    member = _membership(document, arms)
    height = HEAD + ROW * len(lines) + (GAP + ROW if member else 0) + FOOT

    def draw(figure: Any) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        axes.axis("off")
        _headings(axes, arms)
        for i, line in enumerate(lines):
            first = i == 0 or lines[i - 1].family != line.family
            _row(axes, HEAD + ROW * i, line, first, recovered_words(line.finding))
        if member:
            _row(axes, HEAD + ROW * len(lines) + GAP, member, True, gap_words(member.finding))
        _legend(axes, height - FOOT)

    label = "Score of every attack on every arm, darker where more came back; the table below has the numbers"
    return draw_svg(name, label, draw, WIDTH, height)


def arms_of(document: Mapping[str, Any]) -> list[str]:
    """The three arms, there or not, and any others that were attacked."""
    return [*ARMS, *sorted(str(arm) for arm in mapping(document.get("arms")) if arm not in ARMS)]


def lines_of(document: Mapping[str, Any]) -> list[Line]:
    """Every attack of the battery and of the findings, by family; one that was skipped has a line as well."""
    found = {text(f.get("attack")): f for f in items(document.get("findings")) if isinstance(f, Mapping)}
    attacks = [text(attack) for attack in items(mapping(document.get("battery")).get("attacks"))]
    attacks = [attack for attack in attacks if not _on_membership(document, attack)]
    lines = [
        Line(
            attack,
            text(mapping(found.get(attack)).get("family"), ""),
            tuple(cell(document, attack, arm) for arm in arms_of(document)),
            mapping(found.get(attack)),
        )
        for attack in dict.fromkeys([*attacks, *found])
    ]
    return sorted(lines, key=lambda line: FAMILIES.index(line.family) if line.family in FAMILIES else len(FAMILIES))


def _on_membership(document: Mapping[str, Any], attack: str) -> bool:
    """Whether an attack compares members with strangers, which is no recall and has no line here."""
    scores = [
        mapping(mapping(mapping(arm).get("scores")).get(attack)) for arm in mapping(document.get("arms")).values()
    ]
    return attack.startswith("membership") or any({"members", "others"} <= set(found) for found in scores)


def cell(document: Mapping[str, Any], attack: str, arm: str) -> Cell:
    """The finding's score of an arm; where the finding has none, that of the arm's raw scores, at its best setting.

    >>> raw = {"arms": {"unlearned": {"scores": {"direct": {"greedy": [1.0, 0.0]}}}}}
    >>> cell(raw, "direct", "unlearned"), cell(raw, "direct", "control")
    (Cell(word='0.50', share=0.5), Cell(word='', share=None))
    """
    finding = mapping(next((f for f in items(document.get("findings")) if mapping(f).get("attack") == attack), None))
    mean = mean_of(finding, arm)
    if mean is None:
        rows = mapping(mapping(mapping(mapping(document.get("arms")).get(arm)).get("scores")).get(attack)).values()
        known = [[number(score) for score in items(row)] for row in rows if items(row)]
        if not known:
            return NOT_RUN
        if any(score is None for row in known for score in row):
            return Cell("no number", None)
        mean = max(sum(score or 0.0 for score in row) / len(row) for row in known)
    return Cell(decimals(mean), min(max(mean, 0.0), 1.0))


def _membership(document: Mapping[str, Any], arms: Sequence[str]) -> Line | None:
    """AUC of each arm; the colour is its distance from 0.5, at which members cannot be told from strangers."""
    finding = mapping(document.get("membership"))
    if not finding:
        return None
    values = [mean_of(finding, arm) for arm in arms]
    cells = [NOT_RUN if v is None else Cell(decimals(v), min(abs(v - 0.5) * 2, 1.0)) for v in values]
    return Line("membership", "AUC", tuple(cells), finding)


def _headings(axes: Any, arms: Sequence[str]) -> None:
    wide = (CELLS - NAMES) / len(arms)
    for i, arm in enumerate(arms):
        for k, word in enumerate(reversed(arm.split(" ", 1))):
            _words(
                axes, NAMES + wide * (i + 0.5), HEAD - 0.12 - 0.14 * k, short(word, max(6, int(wide * 14))), ha="center"
            )
    _words(axes, CELLS + 0.12, HEAD - 0.12, "RF [bounds]", "muted")
    _words(axes, LAST, HEAD - 0.12, "outcome", "muted")


def _row(axes: Any, top: float, line: Line, first: bool, words: str) -> None:
    middle = top + ROW / 2
    if first:
        _words(axes, 0.0, middle, short(line.family, 13), "muted", size=8)
        axes.plot([0, WIDTH], [top, top], color=COLOUR["rule"], linewidth=0.6, zorder=0)
    _words(axes, NAMES - 0.09, middle, short(line.attack, 20), ha="right")
    wide = (CELLS - NAMES) / len(line.cells)
    for i, one in enumerate(line.cells):
        _draw_cell(axes, NAMES + wide * i, top, wide, one)
    _words(axes, CELLS + 0.12, middle, words, size=8.5)
    mark = outcome_mark(line.finding.get("outcome"))
    ring = mark.shape == "ring"
    axes.plot(
        [LAST + 0.05],
        [middle],
        marker=MARKERS[mark.shape],
        markersize=5.5,
        markeredgecolor=COLOUR[mark.colour],
        markerfacecolor="none" if ring else COLOUR[mark.colour],
        markeredgewidth=1.4 if ring else 0.8,
    )
    _words(axes, LAST + 0.15, middle, mark.word, size=7.5)


def _draw_cell(axes: Any, left: float, top: float, wide: float, one: Cell) -> None:
    from matplotlib.patches import Rectangle

    box = (left + 0.02, top + 0.02), wide - 0.04, ROW - 0.04
    if one.share is None:
        axes.add_patch(Rectangle(*box, facecolor="none", edgecolor=COLOUR["muted"], linewidth=0.5, hatch="//////"))
    else:
        axes.add_patch(Rectangle(*box, facecolor=COLOUR["blue"], alpha=STRONGEST * one.share, linewidth=0))
        axes.add_patch(Rectangle(*box, facecolor="none", edgecolor=COLOUR["rule"], linewidth=0.5))
    _words(axes, left + wide / 2, top + ROW / 2, one.word, ha="center", ground=one.share is None)


def _legend(axes: Any, top: float) -> None:
    from matplotlib.patches import Rectangle

    middle, left, wide = top + 0.22, NAMES + 0.02, 0.11
    _words(axes, left - 0.08, middle, "score 0", "muted", size=8, ha="right")
    for i in range(11):
        box = (left + wide * i, middle - 0.065), wide, 0.13
        axes.add_patch(Rectangle(*box, facecolor=COLOUR["blue"], alpha=STRONGEST * i / 10, linewidth=0))
    axes.add_patch(Rectangle((left, middle - 0.065), wide * 11, 0.13, facecolor="none", edgecolor=COLOUR["rule"]))
    _words(axes, left + wide * 11 + 0.07, middle, "1", "muted", size=8)
    box = (left + 1.75, middle - 0.065), 0.3, 0.13
    axes.add_patch(Rectangle(*box, facecolor="none", edgecolor=COLOUR["muted"], linewidth=0.5, hatch="//////"))
    _words(axes, left + 2.13, middle, "did not run, or gave no score", "muted", size=8)


def _words(
    axes: Any,
    x: float,
    y: float,
    words: str,
    colour: str = "ink",
    size: float = 9,
    ha: str = "left",
    ground: bool = False,
) -> None:
    """Text that is never read as mathematics; `ground` puts paper behind it, over hatching."""
    if not words:
        return
    behind = {"facecolor": COLOUR["paper"], "edgecolor": "none", "pad": 0.8} if ground else None
    axes.text(
        x, y, words, ha=ha, va="center_baseline", fontsize=size, color=COLOUR[colour], parse_math=False, bbox=behind
    )
