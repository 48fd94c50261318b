"""Write the page: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.report.attack_figure import attack_figure
from expunge.report.cost_figure import cost_figure
from expunge.report.document_view import (
    TARGET_COLUMNS,
    certificate_view,
    delivery_view,
    made_words,
    override_view,
    recall_table,
    request_view,
    targets_view,
)
from expunge.report.finding_view import membership_words
from expunge.report.headline import alerts, headline
from expunge.report.marks import Mark, flag_mark
from expunge.report.row_view import row_view
from expunge.report.table import COLUMNS, rows_of, summary_rows
from expunge.report.template import filled
from expunge.report.words import NOT_RUN, UNKNOWN, items, text


def page(document: Mapping[str, Any], path: Path) -> Path:
    """Write the evidence of one request as a page, whole or not at all; the same document gives the same bytes.

    Keys that are missing appear as "UNKNOWN" or "not run".

    Raises: InvalidData, if `rows` is not a list of mappings; MissingExtra, without jinja2 and matplotlib.
    """
    path = Path(path)
    write_durably(path, _html(document).encode("utf-8"))
    return path


def _html(document: Mapping[str, Any]) -> str:
    rows = rows_of(document)
    return filled(
        "page.html.j2",
        {
            "title": text(document.get("title"), "Erasure report"),
            "meta": made_words(document),
            "headline": headline(document),
            "alerts": alerts(document),
            "columns": COLUMNS,
            "summary": [strings | {"marks": _marks(strings["flags"])} for strings in summary_rows(document)],
            "rows": [row_view(row) for row in rows],
            # Made of escaped text by matplotlib's SVG writer and parsed again as XML; the template marks them as such.
            "attack_figures": [attack_figure(row, f"a{i}") for i, row in enumerate(rows, 1)],
            "cost_figure": cost_figure(rows, "b"),
            "recall": recall_table(document),
            "request": request_view(document),
            "targets": targets_view(document),
            "target_columns": TARGET_COLUMNS,
            "delivery": delivery_view(document),
            "override": override_view(document),
            "unknown": [text(entry) for entry in items(document.get("unknown"))],
            "unknown_given": document.get("unknown") is not None,
            "certificate": certificate_view(document),
            "limits": text(document.get("limits"), f"{UNKNOWN}: this document states no limits of its own."),
            "membership_words": membership_words,
            "NOT_RUN": NOT_RUN,
        },
    )


def _marks(flags: str) -> list[Mark]:
    """The marks of a summary's flags; none where the cell holds words about their absence."""
    return [] if flags in ("none", NOT_RUN, UNKNOWN) else [flag_mark(flag) for flag in flags.split(", ")]
