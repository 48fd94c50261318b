"""The page of one benchmark run: every number beside a retrained model's, and what the numbers rest on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.report.document_view import made_words
from expunge.report.dot_figure import Dots, dot_figure
from expunge.report.template import filled
from expunge.report.words import items, mapping, number, text

_TITLES = {"tofu": "TOFU", "muse": "MUSE", "rwku": "RWKU", "harness": "lm-evaluation-harness"}
_NO_TARGET = (
    "No retrained model was given: there is nothing to compare with. What a model that never saw the data scores is the "
    "target, not zero."
)


@dataclass(frozen=True)
class Row:
    """One measure in words."""

    name: str
    model: str
    retrained: str
    difference: str
    rows: str
    means: str
    reason: str


SAME = "The retrained model has the same weights as the model: it was compared with itself, which shows nothing."


def benchmark_page(document: Mapping[str, Any], path: Path) -> Path:
    """Write a benchmark's result (`Result.to_json`) as a page, whole or not at all; the same document, the same bytes.

    `created` and `tool` may stand beside the result's own keys. Missing keys appear as "UNKNOWN" or "not measured".

    Raises: MissingExtra, without jinja2 and matplotlib.
    """
    path = Path(path)
    write_durably(path, benchmark_html(document).encode("utf-8", "replace"))
    return path


def benchmark_html(document: Mapping[str, Any]) -> str:
    """The page as text."""
    measures = [mapping(m) for m in items(document.get("measures"))]
    name = text(document.get("benchmark"))
    return filled(
        "benchmark.html.j2",
        {
            "title": f"Benchmark: {_TITLES.get(name, name)}",
            "headline": _headline(measures),
            "alerts": list(_alerts(document)),
            "meta": made_words(document),
            "rows": [_row(m) for m in measures],
            # Made of escaped text by matplotlib's SVG writer and parsed again as XML; the template marks it as such.
            "figure": dot_figure([dots for m in measures if (dots := _dots(m))], "m"),
            "pairs": list(_facts(document)),
            "data": [_data(mapping(d)) for d in items(document.get("data"))],
        },
    )


def _headline(measures: list[Mapping[str, Any]]) -> str:
    open_ones = sum(bool(m.get("reason")) for m in measures)
    done = f"{len(measures) - open_ones} of {len(measures)} numbers stand beside a retrained model’s"
    if not measures:
        return "Nothing was measured."
    return f"{done}; {open_ones} could not be measured or compared." if open_ones else f"{done}."


def _alerts(document: Mapping[str, Any]) -> Iterator[str]:
    if not document.get("retrained"):
        yield _NO_TARGET
    elif document.get("retrained") == document.get("model"):
        yield SAME
    yield from (text(c) for c in items(document.get("cautions")))
    yield "A benchmark asks its own questions: what it does not find may still be there. Attacks are `expunge verify`."


def _row(measure: Mapping[str, Any]) -> Row:
    model = mapping(measure.get("model"))
    counted = model or mapping(measure.get("retrained"))
    rows, units = number(counted.get("n")), number(counted.get("units"))
    missing = "not measured" if measure.get("reason") else "–"  # such as a percentage of the retrained model's
    count = "–" if rows is None else f"{rows:g}"
    if rows is not None and units not in (None, rows):
        count += f" of {units:g}"
    return Row(
        name=text(measure.get("name")),
        model=_value(measure.get("model"), missing),
        retrained=_value(measure.get("retrained"), missing),
        difference=_value(measure.get("difference"), missing),
        rows=count,
        means=text(measure.get("means")),
        reason=text(measure.get("reason"), ""),
    )


def _value(found: object, missing: str = "not measured") -> str:
    """A number with its bounds; as many decimals as tell small ones from nothing.

    >>> _value({"value": 0.5, "low": 0.41, "high": 0.587}), _value({"value": -99.83, "low": None, "high": None}), _value(None)
    ('0.50 [0.41, 0.59]', '−99.83', 'not measured')
    """
    mean = mapping(found)
    value = number(mean.get("value"))
    if value is None:
        return missing
    low, high = (number(mean.get(key)) for key in ("low", "high"))
    return _digits(value) if low is None or high is None else f"{_digits(value)} [{_digits(low)}, {_digits(high)}]"


def _digits(value: float) -> str:
    """
    >>> _digits(0.0), _digits(0.004), _digits(1.7e-21), _digits(-0.25)
    ('0.00', '0.0040', '1.7e-21', '−0.25')
    """
    if value == 0 or abs(value) >= 0.01:
        shown = f"{value:.2f}"
    else:
        shown = f"{value:.4f}" if abs(value) >= 1e-4 else f"{value:.1e}"
    return shown.replace("-", "−", 1) if value < 0 else shown


def _dots(measure: Mapping[str, Any]) -> Dots | None:
    """Where the model and the retrained one stand, for measures that lie in [0, 1]."""
    spans = {}
    for who in ("model", "retrained"):
        mean = mapping(measure.get(who))
        span = [number(mean.get(key)) for key in ("value", "low", "high")]
        value = span[0]
        if value is not None:
            spans[who] = (value, *(value if bound is None else bound for bound in span[1:]))
    shares = measure.get("unit", "share") == "share" and all(0 <= x <= 1 for span in spans.values() for x in span)
    if not spans or not shares:
        return None
    return Dots(text(measure.get("name")), {who: (s[0], s[1], s[2]) for who, s in spans.items()})


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", text(document.get("model"))
    yield "retrained model", text(document.get("retrained"), "none")
    yield from ((name.replace("_", " "), text(value)) for name, value in mapping(document.get("settings")).items())


def _data(origin: Mapping[str, Any]) -> tuple[str, str, str]:
    return text(origin.get("name")), text(origin.get("digest") or origin.get("revision")), text(origin.get("rows"))
