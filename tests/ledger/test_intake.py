import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.ledger.conftest import COLUMNS, rows_of, write_csv

from expunge.core.errors import ExpungeError, InvalidData
from expunge.ledger import Columns, Ledger, sources
from expunge.ledger.commitments import commitment
from expunge.ledger.manifests import read_manifest
from expunge.ledger.sources import read_records, read_texts
from expunge.ledger.spool import Spool


def _texts(path: Path, columns: Columns) -> list[tuple[str, ...]]:
    return [row for texts in read_texts(path, columns) for row in zip(*texts.columns, strict=True)]


def _records(path: Path, columns: Columns) -> list[tuple[str, ...]]:
    return [(r.id, r.subject, r.question, r.answer) for r in read_records(path, columns)]


TABLES: list[tuple[str, dict[str, Any]]] = [
    ("texts", {"id": ["a", "b"], "author": ["Ada", "Zo\u00eb"], "q": ["Where?", ""], "a": ["x", "y"]}),
    ("numbers", {"id": [7, -8], "author": [1, 2], "q": ["", "?"], "a": [5, 6]}),
    ("nothing", {"id": ["a", "b"], "author": ["Ada", "Ada"], "q": [None, "?"], "a": [None, "y"]}),
    ("large texts", {"id": pa.array(["a"], pa.large_string()), "author": ["Ada"], "q": ["?"], "a": ["y"]}),
    ("categories", {"id": ["a"], "author": pa.array(["Ada"]).dictionary_encode(), "q": ["?"], "a": ["y"]}),
]


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[name for name, _ in TABLES])
@pytest.mark.parametrize("columns", [COLUMNS, Columns(subject="author", answer="a")], ids=["ids", "places"])
def test_columns_of_a_parquet_file_are_the_records_that_its_rows_are(
    name: str, table: dict[str, Any], columns: Columns, tmp_path: Path
) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert _texts(tmp_path / "t.parquet", columns) == _records(tmp_path / "t.parquet", columns) != []


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("the subject is empty", {"id": ["a", "b"], "author": ["Ada", " "], "q": ["", ""], "a": ["x", "y"]}),
    ("the subject is empty", {"id": ["a", "b"], "author": ["Ada", None], "q": ["", ""], "a": ["x", "y"]}),
    ("the id is empty", {"id": ["a", None], "author": ["Ada", "Ada"], "q": ["", ""], "a": ["x", "y"]}),
    ("the same id as row 1", {"id": ["a", "b", "a"], "author": ["A", "B", "C"], "q": [""] * 3, "a": [""] * 3}),
    ("holds no records", {key: pa.array([], pa.string()) for key in ("id", "author", "q", "a")}),
    ("no column 'q'", {"id": ["a"], "author": ["Ada"], "a": ["x"]}),
    ("holds a float", {"id": [1.5], "author": ["Ada"], "q": [""], "a": ["x"]}),
]


@pytest.mark.parametrize(("said", "table"), FAULTS, ids=range(len(FAULTS)))
def test_faults_are_said_in_the_same_words(said: str, table: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    words = []
    for read in (_texts, _records):
        with pytest.raises(InvalidData, match=said) as refused:
            read(tmp_path / "t.parquet", COLUMNS)
        words.append(str(refused.value))
    assert words[0] == words[1]


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"id": ["a"], "author": bad, "q": [""], "a": [""]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidData, match=r"UTF-8|damaged"):
        _texts(tmp_path / "t.parquet", COLUMNS)


@pytest.mark.parametrize("batch", [1, 3, 4096])
def test_ids_are_compared_across_batches(batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BATCH", batch)
    rows = rows_of()
    path = write_csv(tmp_path / "t.csv", [*rows, rows[0]])
    for read in (_texts, _records):
        with pytest.raises(InvalidData, match="line 14: the same id as line 2; every record needs its own"):
            read(path, COLUMNS)


def test_ids_with_the_same_hash_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "hash", lambda _: 1, raising=False)
    assert len(_texts(write_csv(tmp_path / "t.csv", rows_of()), COLUMNS)) == 12


def test_the_manifest_is_that_of_single_commitments(people: Ledger) -> None:
    """What was committed to in bulk is what each record's commitment under its person's key is."""
    keys, live = people.keys.subjects.all(), people.live_data("people").rows
    expected = {commitment(keys[row.subject], "people", row.record): row.subject for row in live}
    assert read_manifest(people.manifests, people.dataset("people").manifest) == expected


def test_spellings_that_are_not_kept_are_looked_up_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.ledger.intake._AT_HAND", 1)
    ledger.add_dataset("people", write_csv(tmp_path / "t.csv", rows_of()[::-1]), COLUMNS)
    assert len(ledger.live_records("people")) == 12
    assert ledger.count_subjects("people")["live"] == 3


def test_names_are_one_person_in_whatever_form_they_are_spelt(ledger: Ledger, tmp_path: Path) -> None:
    spelt = ["Zo\u00eb", "Zoe\u0308", " Zo\u00eb "]
    rows = {"id": ["a", "b", "c"], "author": spelt, "q": [""] * 3, "a": ["x"] * 3}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    info = ledger.add_dataset("people", tmp_path / "t.parquet", COLUMNS)
    assert (info.n_records, info.n_subjects) == (3, 1)


@pytest.mark.parametrize("n_rows", [0, 1, 70_000, 200_000])
def test_a_spool_gives_back_what_it_was_given_in_order(n_rows: int, tmp_path: Path) -> None:
    rows = np.random.default_rng(n_rows).integers(0, 256, (n_rows, 5), np.uint8)
    with Spool(tmp_path, 5) as spool:
        for part in np.array_split(rows, 7):
            spool.add(part)
        assert list(tmp_path.iterdir()) == []  # it has no name that a kill could leave
        buckets = list(spool.buckets())
    found = [row.tobytes() for bucket in buckets for row in bucket]
    assert (len(buckets), found) == (256, sorted(row.tobytes() for row in rows))


def test_a_full_disk_is_one_sentence(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, *_: int) -> int:
            return 0

        def write(self, _: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr("expunge.ledger.spool.TemporaryFile", lambda **_: Full())
    with pytest.raises(ExpungeError, match="free some space"):
        ledger.add_dataset("people", write_csv(tmp_path / "t.csv", rows_of()), COLUMNS)
    assert (ledger.datasets(), list(ledger.manifests.iterdir())) == ((), [])


# Not `ru_maxrss`, which a process has from the one that started it.
MEASURED = """
import sys
from pathlib import Path
from expunge.ledger import Columns, Ledger
ledger = Ledger.create(Path(sys.argv[1]))
ledger.add_dataset("people", Path(sys.argv[2]), Columns(subject="author", answer="a", question="q", id="id"))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak from /proc")
def test_memory_grows_with_people_and_not_with_records(tmp_path: Path) -> None:
    """400,000 records more, of the same hundred people, in less than 100 bytes each; as Python objects they took 1,300."""
    peaks = []
    for n in (200_000, 600_000):
        ids = np.arange(n).astype(str)
        table = {"id": ids, "author": np.char.add("p", (np.arange(n) % 100).astype(str)), "q": [""] * n, "a": ids}
        pq.write_table(pa.table(table), tmp_path / f"{n}.parquet", row_group_size=20_000)
        (tmp_path / f"project-{n}").mkdir()
        code = [sys.executable, "-c", MEASURED, str(tmp_path / f"project-{n}"), str(tmp_path / f"{n}.parquet")]
        peaks.append(int(subprocess.run(code, capture_output=True, text=True, check=True).stdout))
    assert (peaks[1] - peaks[0]) * 1024 < 100 * 400_000
