"""Parts of a project that are not of one moment are found out before anything is signed, swept or destroyed."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from tests.ledger.conftest import COLUMNS, PEOPLE, contents, rows_of, write_csv

from expunge.core.errors import InvalidData
from expunge.ledger import Ledger

PARTS = ("ledger.db", "keys")


def snapshot(root: Path, to: Path) -> Path:
    Ledger.open(root).database.scrub()  # nothing in journals
    return Path(shutil.copytree(root, to))


def restore(root: Path, older: Path, part: str) -> None:
    if part == "keys":
        shutil.rmtree(root / part)
        shutil.copytree(older / part, root / part)
    else:
        for path in root.glob(f"{part}*"):
            path.unlink()
        shutil.copy2(older / part, root / part)


@pytest.mark.parametrize("parts", [c for n in (1,) for c in combinations(PARTS, n)], ids="+".join)
@pytest.mark.parametrize("writes", [1, 3])
def test_a_part_that_was_restored_is_refused_and_named(
    people: Ledger, tmp_path: Path, parts: tuple[str, ...], writes: int
) -> None:
    older = snapshot(people.root, tmp_path / "older")
    for k in range(writes):
        people.add_dataset(f"d{k}", write_csv(tmp_path / f"{k}.csv", rows_of([f"Dora {k}"])), COLUMNS)
    for part in parts:
        restore(people.root, older, part)
    before = contents(people.root)
    word = "ledger.db is older" if "ledger.db" in parts else "keys/ are older"
    with pytest.raises(InvalidData, match=word):
        Ledger.open(people.root)
    assert contents(people.root) == before


def test_all_parts_of_one_moment_open(people: Ledger, tmp_path: Path) -> None:
    older = snapshot(people.root, tmp_path / "older")
    people.add_dataset("more", write_csv(tmp_path / "m.csv", rows_of(["Dora"])), COLUMNS)
    for part in (*PARTS, "manifests"):
        if part == "manifests":
            shutil.rmtree(people.root / part)
            shutil.copytree(older / part, people.root / part)
        else:
            restore(people.root, older, part)
    assert [d.name for d in Ledger.open(people.root).datasets()] == ["people"]


@pytest.mark.parametrize("damage", ["removed", "cut", "another project"])
def test_a_count_that_is_not_this_projects_is_refused(people: Ledger, damage: str) -> None:
    path = people.keys.folder / "generation.json"
    if damage == "removed":
        path.unlink()
    elif damage == "cut":
        path.write_text(path.read_text()[:20])
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "project": "other"}))
    words = {"removed": "hold no generation.json", "cut": "is damaged", "another project": "different projects"}
    with pytest.raises(InvalidData, match=words[damage]):
        Ledger.open(people.root)


def test_one_may_go_on_with_what_there_is(people: Ledger, tmp_path: Path) -> None:
    older = snapshot(people.root, tmp_path / "older")
    people.add_dataset("more", write_csv(tmp_path / "m.csv", rows_of(["Dora"])), COLUMNS)
    keys = people.keys.subjects.all()
    restore(people.root, older, "ledger.db")
    again = Ledger.open(people.root, restored=True)
    again.sweep()
    assert (again.keys.subjects.all() | again.keys.lost()) == keys
    assert Ledger.open(people.root).stamp() == again.stamp()


KILL = """
import os, sys
from pathlib import Path
from expunge.ledger import Columns, Ledger
from expunge.ledger.generation import Witness

ledger, real = Ledger.open(Path(sys.argv[1])), Witness.{name}
def killed(self, stamp):
    if {after}:
        real(self, stamp)
    os._exit(9)
Witness.{name} = killed
ledger.open_request("people", [{who!r}])
"""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["before", "after"])
def test_a_kill_at_any_instant_leaves_a_pair_that_is_recognised(people: Ledger, name: str, after: bool) -> None:
    code = KILL.format(name=name, after=after, who=PEOPLE[0])
    assert subprocess.run([sys.executable, "-c", code, str(people.root)]).returncode == 9
    again = Ledger.open(people.root)
    assert len(again.requests()) == (1 if name == "after" else 0)
    again.open_request("people", [PEOPLE[1]])
    assert Ledger.open(people.root).stamp() == again.stamp()


def test_writers_and_readers_at_once_never_see_a_mismatch(people: Ledger, forget: Callable[..., str]) -> None:
    failed: list[BaseException] = []

    def write() -> None:
        try:
            ledger = Ledger.open(people.root)
            for _ in range(8):
                ledger.append_event(request.id, "note")
        except BaseException as e:  # noqa: BLE001 - told by the assertion below
            failed.append(e)

    def read() -> None:
        try:
            for _ in range(30):
                Ledger.open(people.root)
        except BaseException as e:  # noqa: BLE001 - told by the assertion below
            failed.append(e)

    request = people.open_request("people", [PEOPLE[0]])
    threads = [threading.Thread(target=run) for run in (write, write, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(Ledger.open(people.root).events(request.id)) == 17


def test_what_changes_nothing_counts_nothing(people: Ledger) -> None:
    before = people.stamp()
    people.requests()
    people.sweep()
    assert people.stamp() == before
