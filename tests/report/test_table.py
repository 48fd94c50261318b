"""The summary's words, which the page and the command line share."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expunge.core.errors import InvalidData
from expunge.report import page, summary_rows
from expunge.report.table import COLUMNS

Make = Callable[..., dict[str, Any]]


def test_the_strings_of_one_row(document: Make, row: Make, audit: Make, finding: Make) -> None:
    found = [finding("direct", 0.012, "NOT_RECOVERED", 0.055), finding("paraphrase", 0.01, "NOT_RECOVERED")]
    found.append(finding("relearn", 0.221, "RECOVERED", 0.265))
    (strings,) = summary_rows(document(row(audit=audit("SUPPRESSED", ("HIDDEN",), findings=found))))
    assert strings == {
        "method": "npo",
        "guarantee": "EMPIRICAL",
        "cost": "8 % (5.1 s of 61 s)",
        "recall": "5.5 % (original 97 %, control 4 %)",
        "recovered": "0.22 [0.17, 0.27]",
        "attack": "relearn (RECOVERED)",
        "retained": "98.7 %",
        "flags": "HIDDEN",
        "assurance": "SUPPRESSED",
    }


def test_the_page_prints_the_same_words(document: Make, tmp_path: Path) -> None:
    made = document()
    text = html.unescape(page(made, tmp_path / "p.html").read_text(encoding="utf-8")).replace("\u00a0", " ")
    (strings,) = summary_rows(made)
    for words in strings.values():
        for part in words.partition(" (")[::2]:
            assert part in text


def test_nothing_measured_is_said_for_every_cell(document: Make, row: Make, audit: Make, finding: Make) -> None:
    found = [finding("direct", None, "INCONCLUSIVE"), finding("relearn", None, "NO_CONTRAST")]
    bare = audit("CLAIMED", ("INCONCLUSIVE",), findings=found, skill=None)
    (strings,) = summary_rows(document(row(audit=bare, cost=None, seconds=None, retrain_seconds=None)))
    assert strings["recall"] == strings["recovered"] == strings["retained"] == "not measured"
    assert strings["attack"] == "none of 2 could be judged"
    assert strings["cost"] == "UNKNOWN"


def test_attacks_left_out_of_the_maximum_are_counted(document: Make, row: Make, audit: Make, finding: Make) -> None:
    found = [finding("direct", 0.01, "NOT_RECOVERED"), finding("relearn", None, "NO_CONTRAST")]
    (strings,) = summary_rows(document(row(audit=audit("CLAIMED", findings=found))))
    assert strings["attack"] == "direct (NOT_RECOVERED); 1 of 2 attacks measured"


def test_numbers_that_are_none_stay_unknown(document: Make, row: Make, audit: Make) -> None:
    (strings,) = summary_rows(document(row(audit=audit(skill=float("nan")), cost=float("inf"))))
    assert strings["retained"] == "not measured"
    assert strings["cost"].startswith("UNKNOWN")


def test_damage_is_not_rounded_away(document: Make, row: Make, audit: Make) -> None:
    (strings,) = summary_rows(document(row(audit=audit(skill=0.89999))))
    assert strings["retained"] == "89.9 %"


def test_an_empty_row_has_every_key_and_no_blank() -> None:
    (strings,) = summary_rows({"rows": [{}]})
    assert list(strings) == list(COLUMNS)
    assert all(strings.values())


def test_rows_that_are_none_are_refused() -> None:
    assert summary_rows({"rows": None}) == []
    with pytest.raises(InvalidData, match="list of mappings"):
        summary_rows({"rows": ["npo"]})
