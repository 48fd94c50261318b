"""One file that needs nothing beside it, is the same every time, prints, and trusts no string."""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from expunge.core.errors import StorageFull
from expunge.report import page

Make = Callable[..., dict[str, Any]]
HOSTILE = "</text></td><script>alert('$x$')</script><img src=x onerror=\"go()\">{{ 7*7 }} & \x07 $\\frac{1}$"


class Elements(HTMLParser):
    """Every element with its attributes, and whether all that was opened is closed."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def written(document: dict[str, Any], folder: Path) -> str:
    return page(document, folder / "p.html").read_text(encoding="utf-8")


def hostile(value: Any) -> Any:
    """The same document with every free string made hostile; names that the page must know stay."""
    kept = {"assurance", "outcome", "replay", "guarantee", "attack"}
    if isinstance(value, dict):
        return {k: v if k in kept else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


def test_the_same_document_gives_the_same_bytes(document: Make, tmp_path: Path) -> None:
    first = page(document(), tmp_path / "a.html").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "xtick.major.pad": 20}):
        assert page(document(), tmp_path / "b.html").read_bytes() == first  # nor do a reader's own settings count


def test_it_is_self_contained(document: Make, tmp_path: Path) -> None:
    text = written(document(), tmp_path)
    for tag, attributes in Elements(text).found:
        assert tag not in ("script", "link", "iframe", "img", "object", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_figures_point_at_ids_that_exist_once(document: Make, row: Make, tmp_path: Path) -> None:
    text = written(document(row(), row(method="again")), tmp_path)
    ids = [attributes["id"] for _, attributes in Elements(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert wanted
    assert set(wanted) <= set(ids)


def test_every_string_is_escaped(document: Make, tmp_path: Path) -> None:
    text = written(hostile(document()), tmp_path)
    plain = {tag for tag, _ in Elements(written(document(), tmp_path)).found}
    elements = Elements(text)
    assert elements.open == []
    assert {tag for tag, _ in elements.found} <= plain
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert "&lt;script&gt;" in text
    assert "49" not in text.partition("<h1>")[2].partition("</h1>")[0]


def test_text_in_figures_is_text_and_not_mathematics(
    document: Make, row: Make, audit: Make, finding: Make, tmp_path: Path
) -> None:
    text = written(document(row(method="$x_1$", audit=audit(findings=[finding("$a^2$", 0.1, "RECOVERED")]))), tmp_path)
    assert re.search(r"<text [^>]*>\$x_1\$</text>", text)
    assert re.search(r"<text [^>]*>\$a\^2\$</text>", text)


def test_it_prints_on_a4_without_a_dark_ground(document: Make, tmp_path: Path) -> None:
    text = written(document(), tmp_path)
    assert "@page { size: A4" in text
    printed = text.partition("@media print {")[2].partition("</style>")[0]
    for rule in ("break-before: page", "break-inside: avoid", "table-header-group"):
        assert rule in printed
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media (prefers-color-scheme: dark)" not in text


def test_every_finding_shows_what_it_rests_on(
    document: Make, row: Make, audit: Make, finding: Make, tmp_path: Path
) -> None:
    found = [
        finding("direct", 0.01, "NOT_RECOVERED"),
        finding("relearn", 0.41, "RECOVERED", 0.44),
        finding("quantise", 0.05, "INCONCLUSIVE"),
        finding("paraphrase", None, "NO_CONTRAST"),
    ]
    text = written(document(row(audit=audit("CLAIMED", ("HIDDEN",), findings=found))), tmp_path)
    for f in found:
        assert f["reason"] in text
        assert f"</svg>{f['outcome']}</span>" in text
        assert re.search(rf"<text [^>]*>{f['outcome']}</text>", text)
    assert "[0.36, 0.46]" in text
    assert "200 of 311 needed" in text
    assert "does not exist" in text
    assert "no score" in text


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("RECOVERED", "the model gives away who was in the training data"),
        ("NOT_RECOVERED", "No difference to the control beyond the margin was found."),
        ("INCONCLUSIVE", "Neither a difference nor its absence was shown."),
        ("NO_CONTRAST", "so this says nothing"),
    ],
)
def test_membership_is_an_axis_of_its_own(
    outcome: str, sentence: str, document: Make, row: Make, audit: Make, tmp_path: Path
) -> None:
    made = audit()
    made["membership"] |= {"outcome": outcome}
    text = written(document(row(audit=made)), tmp_path)
    assert sentence in text
    assert "ΔAUC to the control" in text
    assert "0.94" in text
    assert ("the membership test did not show it" in text) is (outcome != "NOT_RECOVERED")


def test_facts_and_single_scores_are_not_printed(document: Make, tmp_path: Path) -> None:
    text = written(document(), tmp_path)
    assert "facefeed" not in text
    assert "per_fact" not in text


@pytest.mark.parametrize(("replay", "word"), [(True, "MATCHED"), (False, "DID NOT MATCH"), (None, "not run")])
def test_the_replay_is_named(replay: bool | None, word: str, document: Make, row: Make, tmp_path: Path) -> None:
    assert "<dt>Replay</dt><dd><span" in (text := written(document(row(replay=replay)), tmp_path))
    assert f"</svg>{word}</span>" in text


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    text = written({}, tmp_path)
    for words in (
        "No removal is recorded",
        "No request is attached",
        "Delivery: not run.",
        "does not say what was never recorded",
        "Certificate: not run.",
        "states no limits",
        "Created UNKNOWN",
    ):
        assert words in text


def test_an_empty_row_is_unknown_throughout(tmp_path: Path) -> None:
    text = written({"rows": [{}], "delivery": {}, "unknown": [], "request": {"id": "r"}}, tmp_path)
    for words in (
        "UNKNOWN: no cost was measured",
        "UNKNOWN: no promise is recorded",
        "Units touched: UNKNOWN.",
        "Audit: not run.",
        "Events: UNKNOWN.",
        "Override: UNKNOWN.",
        "not the same as everything being known",
    ):
        assert words in text
    assert "NOT_RECOVERED" not in text


def test_delivery_and_certificate(document: Make, tmp_path: Path) -> None:
    text = html.unescape(written(document(), tmp_path))
    assert "copy: hub · why: no access" in text
    assert "1 copy could not be reached and may still hold the data." in text
    assert "<dt>Index in the log</dt><dd>0</dd>" in text
    assert "expunge check c.json --trust pub.pem" in text
    assert "overridden by name" not in text
    made = document()
    made["delivery"] |= {"override": "HIDDEN"}
    text = written(made, tmp_path)
    assert "Delivered despite HIDDEN, by a named override." in text
    assert "overridden by name" in text


def test_a_failed_write_leaves_the_old_page(document: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = page(document(), tmp_path / "p.html").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("expunge.core.durable.os.fsync", full)
    with pytest.raises(StorageFull, match="free some space"):
        page(document(title="new"), tmp_path / "p.html")
    assert [file.name for file in tmp_path.iterdir()] == ["p.html"]
    assert (tmp_path / "p.html").read_bytes() == old
