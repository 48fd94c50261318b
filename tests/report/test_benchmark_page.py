"""The page of a benchmark: escaped, self-contained, the same every time, and honest about what is missing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expunge.report.benchmark_page import benchmark_html, benchmark_page

HOSTILE = "</td><script>alert(1)</script>{{ 7*7 }} & \x07 $x^2$"


def mean(value: float, width: float | None = 0.05) -> dict[str, Any]:
    low, high = (None, None) if width is None else (value - width, value + width)
    return {"value": value, "low": low, "high": high, "n": 40, "units": 2}


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "benchmark": "muse",
        "model": "sha256:aa",
        "retrained": "sha256:bb",
        "created": "2026-03-01T09:30:00+00:00",
        "tool": {"name": "expunge", "version": "1"},
        "settings": {"k": 0.4, "plain": False},
        "data": [{"name": "forget.jsonl", "digest": "sha256:cc", "rows": 40}],
        "cautions": ["only multiple choice"],
        "measures": [
            {
                "name": "verbmem",
                "means": "word for word",
                "model": mean(0.9),
                "retrained": mean(0.2),
                "difference": mean(0.7),
                "reason": "",
            },
            {
                "name": "privleak",
                "means": "percent",
                "model": mean(-99.8, None),
                "retrained": None,
                "difference": None,
                "reason": "",
            },
            {
                "name": "fluency",
                "means": "bits",
                "model": None,
                "retrained": None,
                "difference": None,
                "reason": "no table",
            },
        ],
    }


def test_every_number_stands_beside_what_it_should_equal(document: dict[str, Any]) -> None:
    text = re.sub(r"<[^>]+>", " ", benchmark_html(document))
    flat = " ".join(text.split())
    assert "verbmem 0.90 [0.85, 0.95] 0.20 [0.15, 0.25] 0.70 [0.65, 0.75] 40 of 2 word for word" in flat
    assert "privleak −99.80 – – 40 of 2 percent" in flat
    assert "Not measured or not compared: no table" in flat
    assert "2 of 3 numbers stand beside a retrained model’s; 1 could not be measured or compared." in flat
    assert "sha256:aa" in flat
    assert "sha256:cc" in flat


def test_without_a_retrained_model_the_page_says_what_is_missing(document: dict[str, Any]) -> None:
    assert "No retrained model was given" not in benchmark_html(document)
    assert "No retrained model was given" in benchmark_html(document | {"retrained": None})


def test_a_model_beside_itself_is_called_that(document: dict[str, Any]) -> None:
    assert "compared with itself" in benchmark_html(document | {"retrained": document["model"]})


def test_an_empty_document_is_unknown_and_not_a_result() -> None:
    text = benchmark_html({})
    assert "Nothing was measured." in text
    assert text.count("UNKNOWN") >= 3


def test_every_string_is_escaped_and_nothing_comes_from_outside(document: dict[str, Any]) -> None:
    def hostile(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: hostile(v) for k, v in value.items()}
        if isinstance(value, list):
            return [hostile(v) for v in value]
        return HOSTILE if isinstance(value, str) else value

    text = benchmark_html(hostile(document))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert ">49 " not in text
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert re.search(r"<text [^>]*>[^<]*\$x\^2\$", text) or "…</text>" in text


def test_the_same_document_gives_the_same_bytes(document: dict[str, Any], tmp_path: Path) -> None:
    written: Callable[[str], bytes] = lambda name: benchmark_page(document, tmp_path / name).read_bytes()
    assert written("a.html") == written("b.html")


def test_only_shares_are_drawn_on_the_scale_of_shares(document: dict[str, Any]) -> None:
    labels = re.findall(r"<text [^>]*>([^<]+)</text>", benchmark_html(document))
    assert "verbmem" in labels
    assert "privleak" not in labels
    document["measures"][0]["unit"] = "nats"
    assert "verbmem" not in re.findall(r"<text [^>]*>([^<]+)</text>", benchmark_html(document))
