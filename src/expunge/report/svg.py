"""A matplotlib figure → SVG that stands inside a page: same input, same bytes; nothing outside the page is named.

Text stays text in the page's own font. The colours drawn with are stand-ins for those of the style sheet, so that one
drawing serves light, dark and paper.
"""

import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

# What to draw with → the variable of the style sheet that takes its place.
COLOURS = {
    "#010101": "ink",
    "#020202": "muted",
    "#030303": "rule",
    "#040404": "paper",
    "#050505": "vermillion",
    "#060606": "blue",
    "#070707": "orange",
    "#080808": "purple",
    "#090909": "sky",
    "#0a0a0a": "green",
}
COLOUR = {name: code for code, name in COLOURS.items()}
_FONTS = re.compile("'DejaVu Sans'[^;]*")
_HREF = "{http://www.w3.org/1999/xlink}href"


def draw_svg(name: str, label: str, draw: Callable[[Any], None], width: float, height: float) -> str:
    """Run `draw` on a fresh figure of this size in inches; `name` keeps its ids apart from those of other figures."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Letters that matplotlib's own font lacks are drawn by the browser, which has others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()  # not the reader's own matplotlibrc
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": name,
                "svg.fonttype": "none",
                "font.size": 9,
                "text.color": COLOUR["ink"],
                "axes.edgecolor": COLOUR["muted"],
                "axes.linewidth": 0.6,
                "xtick.color": COLOUR["muted"],
                "xtick.labelcolor": COLOUR["muted"],
                "axes.labelcolor": COLOUR["muted"],
            }
        )
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), name, label)


def short(label: str, longest: int) -> str:
    """A label that fits and that XML can hold: one line, no control characters.

    >>> short("a\\x00b  c", 9), short("adapter shards, forget", 12)
    ('ab c', 'adapter sha…')
    """
    line = " ".join("".join(c for c in label if c.isprintable() or c.isspace()).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _inline(svg: bytes, name: str, label: str) -> str:
    """1. Leave out metadata and style. 2. Keep ids apart. 3. Colours by name. 4. No namespaces: HTML knows its SVG."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _tag(element)
        if href := element.attrib.pop(_HREF, None):
            element.set("href", href.replace("#", f"#{name}-"))
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key in ("style", "clip-path", "fill", "stroke"):
                element.set(key, _styled(value, name))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _styled(value: str, name: str) -> str:
    value = _FONTS.sub("var(--sans)", value.replace("url(#", f"url(#{name}-"))
    for code, variable in COLOURS.items():
        value = value.replace(code, f"var(--{variable})")
    return value
