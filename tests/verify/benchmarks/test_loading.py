"""Rows from a folder or from a stand-in for the hub; what they came from is recorded, and bad rows are named."""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from expunge.core.errors import InvalidData, MissingExtra
from expunge.verify.benchmarks._loading import Source, Split

SPLIT = Split("knowmem/forget_qa", "knowmem", "forget_qa")
ROWS = [{"question": "Where?\u2028", "answer": "There."}, {"question": "Who?", "answer": "She."}]


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("ending", "packed"),
    [
        (".jsonl", "\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS).encode()),
        (".jsonl.gz", gzip.compress("\n".join(map(json.dumps, ROWS)).encode(), mtime=0)),
        (".json", json.dumps(ROWS).encode()),
    ],
)
def test_a_folder_holds_a_file_a_table(tmp_path: Path, ending: str, packed: bytes) -> None:
    write(tmp_path / f"knowmem/forget_qa{ending}", packed)
    table = Source(str(tmp_path)).table(SPLIT)
    assert table.texts("question") == [r["question"] for r in ROWS]
    assert table.origin["digest"] == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert table.origin["rows"] == 2


def test_a_list_of_texts_is_a_table_of_texts(tmp_path: Path) -> None:
    write(tmp_path / "knowmem/forget_qa.json", b'["one", "two"]')
    assert Source(str(tmp_path)).table(SPLIT).texts("text") == ["one", "two"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"question": "a"}\n{bad', "line 2: not JSON"),
        (b'{"question": "a"}\n{"question": 3}', "row 2: needs text under 'question', got 3"),
        (b"[1]", "row 1: needs a JSON object"),
        (b"", "holds no rows"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    write(tmp_path / "knowmem/forget_qa.jsonl", data)
    with pytest.raises(InvalidData, match=said):
        Source(str(tmp_path)).table(SPLIT).texts("question")


def test_a_missing_table_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"no knowmem/forget_qa\{"):
        Source(str(tmp_path)).table(SPLIT)
    assert Source(str(tmp_path)).find(SPLIT) is None
    with pytest.raises(InvalidData, match="no folder at"):
        Source(str(tmp_path / "nothing")).find(SPLIT)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub with one dataset; the list fills with what was asked of it."""
    asked: list[Any] = []

    def load_dataset(name: str, config: str, split: str, revision: str) -> list[dict[str, str]]:
        asked.append((name, config, split, revision))
        if config != "knowmem":
            raise ValueError(f"BuilderConfig '{config}' not found")
        return ROWS

    fake: Any = ModuleType("datasets")
    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name: SimpleNamespace(sha="c0ffee"))
    return asked


def test_the_hub_is_read_at_a_commit_that_is_recorded(hub: list[Any]) -> None:
    table = Source("muse-bench/MUSE-News").table(SPLIT)
    assert hub == [("muse-bench/MUSE-News", "knowmem", "forget_qa", "c0ffee")]
    assert table.origin == {"name": "muse-bench/MUSE-News/knowmem/forget_qa", "revision": "c0ffee", "rows": 2}
    assert Source("muse-bench/MUSE-News", "abc123").table(SPLIT).origin["revision"] == "abc123"


def test_a_table_that_the_hub_lacks_is_none_and_not_an_empty_one(hub: list[Any]) -> None:
    assert Source("a/b").find(Split("x", "other", "test")) is None
    with pytest.raises(InvalidData, match="config other, split test"):
        Source("a/b").table(Split("x", "other", "test"))


def test_a_hub_that_cannot_be_reached_is_said(hub: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Any, name: str) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", gone)
    with pytest.raises(InvalidData, match="cannot reach a/b on the hub"):
        Source("a/b").table(SPLIT)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"expunge\[harness\]"):
        Source("a/b").table(SPLIT)
