"""The page of one audit: every attack on every arm, and in words what may and what may not be claimed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.report.audit_view import audit_view
from expunge.report.curve_figure import curve_figure
from expunge.report.finding_view import membership_words
from expunge.report.heat_map import heat_map
from expunge.report.template import filled
from expunge.report.words import NOT_RUN


def audit_page(document: Mapping[str, Any], path: Path) -> Path:
    """Write an audit (`Audit.to_json`) as a page, whole or not at all; the same document gives the same bytes.

    `title`, `created` and `tool` may stand beside the audit's own keys. Missing keys appear as "UNKNOWN" or "not run".

    Raises: MissingExtra, without jinja2 and matplotlib.
    """
    path = Path(path)
    write_durably(path, audit_html(document).encode("utf-8", "replace"))
    return path


def audit_html(document: Mapping[str, Any]) -> str:
    """The page as text."""
    # Figures are made of escaped text by matplotlib's SVG writer and parsed again as XML; the template marks them as such.
    return filled(
        "audit.html.j2",
        {
            "view": audit_view(document),
            "heat_map": heat_map(document, "h"),
            "curves": curve_figure(document, "c"),
            "membership_words": membership_words,
            "NOT_RUN": NOT_RUN,
        },
    )
