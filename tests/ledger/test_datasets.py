import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.ledger.conftest import COLUMNS, contents, rows_of, write_csv

from expunge.core.errors import ExpungeError, InvalidData, UnknownName
from expunge.ledger import Ledger
from expunge.ledger.manifests import read_manifest


def test_what_is_recorded(people: Ledger, people_csv: Path) -> None:
    info = people.dataset("people")
    assert (info.version, info.n_records, info.n_subjects, info.parent) == (1, 12, 3, None)
    assert (info.source, info.format, info.columns) == (people_csv.as_posix(), "csv", COLUMNS)
    assert info.path == f"manifests/{info.manifest.removeprefix('sha256:')}.parquet"
    assert people.datasets() == people.dataset_history("people") == (info,)
    assert people.count_subjects("people") == {"live": 3, "erased": 0}
    assert Ledger.open(people.root).dataset("people") == info


def test_the_manifest_holds_opaque_rows_sorted_by_commitment(people: Ledger) -> None:
    manifest = read_manifest(people.manifests, people.dataset("people").manifest)
    assert list(manifest) == sorted(manifest)
    assert {len(c) for c in manifest} == {32}
    assert set(manifest.values()) == people.keys.subjects.all().keys()


def test_every_format_gives_the_same_manifest_under_the_same_keys(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of()
    plain = write_csv(tmp_path / "a.csv", rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    digests = set()
    for name in ("a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"):
        other = Ledger.create(tmp_path / f"project-{name}")
        # The same references and keys each time; in use both are random.
        numbers = iter(range(100))
        monkeypatch.setattr("expunge.ledger.shared.uuid4", lambda n=numbers: _Fixed(next(n)))
        monkeypatch.setattr("expunge.ledger.subject_keys.secrets.token_bytes", lambda n: bytes(n))
        digests.add(other.add_dataset("people", tmp_path / name, COLUMNS).manifest)
        monkeypatch.undo()
    assert len(digests) == 1


class _Fixed:
    def __init__(self, number: int) -> None:
        self.hex = f"{number:032x}"


def test_commitments_differ_between_projects(people: Ledger, people_csv: Path, tmp_path: Path) -> None:
    other = Ledger.create(tmp_path / "other")
    assert other.add_dataset("people", people_csv, COLUMNS).manifest != people.dataset("people").manifest


def test_a_source_inside_the_project_moves_with_it(ledger: Ledger, tmp_path: Path) -> None:
    write_csv(ledger.root / "data.csv", rows_of())
    assert ledger.add_dataset("people", ledger.root / "data.csv", COLUMNS).source == "data.csv"
    ledger.root.rename(tmp_path / "moved")
    assert len(Ledger.open(tmp_path / "moved").live_records("people")) == 12


def test_a_taken_name_and_an_empty_one_are_refused(people: Ledger, people_csv: Path) -> None:
    before = contents(people.root)
    with pytest.raises(InvalidData, match="'people' is recorded already"):
        people.add_dataset("people", people_csv, COLUMNS)
    with pytest.raises(InvalidData, match="needs a name"):
        people.add_dataset(" ", people_csv, COLUMNS)
    assert contents(people.root) == before


def test_an_unknown_dataset_is_named_with_the_nearest(people: Ledger) -> None:
    with pytest.raises(UnknownName, match="no dataset 'poeple' is recorded; did you mean 'people'"):
        people.dataset("poeple")


@pytest.mark.parametrize(
    "where",
    [
        "expunge.ledger.keys.Keyring.handle",
        "expunge.ledger.datasets.commitment",
        "expunge.ledger.datasets.new_version",
        "expunge.core.durable.os.replace",
        "expunge.ledger.datasets._info",
    ],
)
def test_a_failure_at_any_point_leaves_the_project_as_it_was(
    people: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    source = write_csv(tmp_path / "more.csv", rows_of(["Dora", "Emil"]))
    keys, files = people.keys.subjects.all(), set(contents(people.root))

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, fail)
    with pytest.raises(KeyboardInterrupt):
        people.add_dataset("more", source, COLUMNS)
    monkeypatch.undo()
    assert (people.keys.subjects.all(), set(contents(people.root))) == (keys, files)
    assert [d.name for d in people.datasets()] == ["people"]
    assert people.count_subjects("people")["live"] == 3
    people.add_dataset("more", source, COLUMNS)
    assert len(people.live_records("more")) == 8


def test_a_fault_in_the_last_line_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "people.csv", [*rows_of(), {"id": "z", "author": "", "q": "", "a": ""}])
    with pytest.raises(ExpungeError, match="line 14: the subject is empty"):
        ledger.add_dataset("people", source, COLUMNS)
    assert (ledger.datasets(), ledger.keys.subjects.all(), list(ledger.manifests.iterdir())) == ((), {}, [])


@pytest.mark.parametrize("character", ["\n", "\x85", "\u2028", "\x1b", "\x00"], ids=lambda c: f"U+{ord(c):04X}")
def test_a_name_that_no_list_can_hold_is_refused_when_it_comes(character: str, ledger: Ledger, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "people.csv", rows_of(["Bo", f"Ada{character}Lind"]))
    with pytest.raises(InvalidData, match=rf"record \d+ holds U\+{ord(character):04X}") as refused:
        ledger.add_dataset("people", source, COLUMNS)
    assert "Lind" not in str(refused.value)
    assert (ledger.datasets(), ledger.keys.subjects.all(), list(ledger.manifests.iterdir())) == ((), {}, [])
