"""Nothing that no erasure names is ever destroyed: an emptied or older database meets newer keys and files."""

import shutil
from pathlib import Path

import pytest
from tests.ledger.conftest import COLUMNS, PEOPLE, contents, rows_of, write_csv

from expunge.core.errors import ExpungeError, InvalidData
from expunge.ledger import Ledger


def restore_database(root: Path, kept: Path) -> None:
    for path in root.glob("ledger.db*"):
        path.unlink()
    shutil.copy2(kept, root / "ledger.db")


def test_an_emptied_database_is_no_new_ledger(people: Ledger, tmp_path: Path) -> None:
    """Once the next `data add` made new tables in it, and destroyed everybody's keys."""
    before = contents(people.root / "keys") | contents(people.manifests)
    for path in people.root.glob("ledger.db*"):
        path.unlink()
    (people.root / "ledger.db").touch(mode=0o600)
    with pytest.raises(InvalidData, match=r"holds no ledger.*restore it from a backup"):
        Ledger.open(people.root)
    assert contents(people.root / "keys") | contents(people.manifests) == before


def test_an_older_database_destroys_no_newer_keys_and_files(people: Ledger, tmp_path: Path, forget: object) -> None:
    """And when the newer one is back, so is what was set aside."""
    people.database.scrub()
    shutil.copy2(people.root / "ledger.db", tmp_path / "older.db")
    people.add_dataset("orders", write_csv(tmp_path / "orders.csv", rows_of(["Dora", "Emil"])), COLUMNS)
    people.database.scrub()
    shutil.copy2(people.root / "ledger.db", tmp_path / "newer.db")
    keys, records = people.keys.subjects.all(), people.live_records("orders")

    restore_database(people.root, tmp_path / "older.db")
    older = Ledger.open(people.root, restored=True)
    older.add_dataset("more", write_csv(tmp_path / "more.csv", rows_of(["Fatma"])), COLUMNS)
    files, n_keys = older.lost()
    assert n_keys == 2
    assert len(files) == 1
    assert files[0].startswith("lost/manifests/")
    assert (older.keys.lost() | older.keys.subjects.all()).items() >= keys.items()

    restore_database(people.root, tmp_path / "newer.db")
    newer = Ledger.open(people.root, restored=True)
    newer.sweep()
    assert newer.live_records("orders") == records
    assert newer.keys.subjects.all() == keys
    assert newer.lost()[1] == 1  # Fatma's, whom this database does not know


def test_a_killed_command_loses_its_leftovers_and_reports_them(people: Ledger) -> None:
    people.keys.subjects.create(["orphan"])
    (people.manifests / "ab.parquet").write_bytes(b"half recorded")
    people.sweep()
    assert people.lost() == (["lost/manifests/ab.parquet"], 1)
    assert len(people.keys.subjects.all()) == len(PEOPLE)


def test_a_lost_key_dies_with_the_erasure_of_its_person(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    (ref,) = request.subjects
    people.entomb(request.id)
    people.keys.lose({ref})
    assert people.keys.lost().keys() == {ref}
    people.finish_erasure(request.id)
    assert people.keys.lost() == {}
    assert ref not in people.keys.subjects.all()


@pytest.mark.parametrize("damage", ["removed", "cut", "emptied"])
def test_keys_of_people_that_are_gone_are_missed_at_opening(people: Ledger, damage: str) -> None:
    path = people.keys.subjects.path
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:5000] if damage == "cut" else b"")
    before = contents(people.root)
    with pytest.raises(ExpungeError, match=r"subjects\.db"):
        Ledger.open(people.root)
    after = contents(people.root)
    assert {k: v for k, v in after.items() if k in before and k != "keys/subjects.db"} == {
        k: v for k, v in before.items() if k != "keys/subjects.db"
    }


def test_keys_are_compared_with_people_only_after_one_of_both_has_changed(
    people: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    monkeypatch.setattr("expunge.ledger.sweep._tidy_keys", lambda *_: compared.append(1))
    people.sweep()
    request = people.open_request("people", [PEOPLE[0]])
    people.entomb(request.id)
    with people.transaction():
        people.append_event(request.id, "note")
    assert compared == []
    monkeypatch.undo()
    monkeypatch.setattr("expunge.ledger.sweep._tidy_keys", lambda *_: compared.append(1))
    people.finish_erasure(request.id)
    assert compared


def test_keys_of_the_erased_that_come_back_from_a_backup_are_destroyed_again(people: Ledger, tmp_path: Path) -> None:
    shutil.copy2(people.keys.subjects.path, tmp_path / "older.db")
    request = people.open_request("people", [PEOPLE[0]])
    (ref,) = request.subjects
    people.entomb(request.id)
    people.finish_erasure(request.id)
    shutil.copy2(tmp_path / "older.db", people.keys.subjects.path)
    assert ref in people.keys.subjects.all()
    people.sweep()
    assert people.keys.subjects.all().keys() == {*people.find_subjects("people", PEOPLE[1:]).values()}
