import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.ledger.conftest import COLUMNS, PEOPLE, holds, rows_of, write_csv

from expunge.core.errors import NotReady, UnknownSubject
from expunge.ledger import Ledger
from expunge.ledger.erasure import Manifests
from expunge.ledger.manifests import read_manifest


def _ids(ledger: Ledger) -> list[str]:
    return [r.id for r in ledger.live_records("people")]


def _ids_without(*people: str) -> list[str]:
    return [r["id"] for r in rows_of() if r["author"] not in people]


def test_entombed_records_are_left_out_at_once(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    assert _ids(people) == _ids_without()
    assert people.entomb(request.id) == people.entomb(request.id) == 4
    assert _ids(people) == _ids_without(PEOPLE[0])
    assert [e.kind for e in people.events(request.id)] == ["received", "entombed"]


@pytest.mark.parametrize("finish", [False, True])
def test_a_second_request_does_not_bring_the_first_person_back(people: Ledger, finish: bool) -> None:
    for n, person in enumerate(PEOPLE[:2], start=1):
        request = people.open_request("people", [person])
        people.entomb(request.id)
        if finish:
            people.finish_erasure(request.id)
        assert _ids(people) == _ids_without(*PEOPLE[:n])


def test_what_an_erasure_leaves(people: Ledger) -> None:
    before = people.dataset("people")
    request = people.open_request("people", [PEOPLE[0]])
    (ref,) = request.subjects
    key, handle = people.keys.get(ref), people.keys.handle(PEOPLE[0])
    theirs = [c for c, r in read_manifest(people.manifests, before.manifest).items() if r == ref]
    assert holds(people.root, key) == ["keys/subjects.db"]  # the controls
    assert holds(people.root, handle) != []
    people.entomb(request.id)
    erasure = people.finish_erasure(request.id)

    after = people.dataset("people")
    assert (erasure.n_records, erasure.n_subjects) == (4, 1)
    assert erasure.datasets == {"people": Manifests(before=before.manifest, after=after.manifest)}
    assert (after.version, after.parent, after.n_records, after.n_subjects) == (2, before.manifest, 8, 2)
    assert [d.manifest for d in people.dataset_history("people")] == [before.manifest, after.manifest]
    assert [p.name for p in people.manifests.iterdir()] == [Path(after.path).name]
    assert set(theirs).isdisjoint(read_manifest(people.manifests, after.manifest))
    assert people.count_subjects("people") == {"live": 2, "erased": 1}
    assert (holds(people.root, key), holds(people.root, handle)) == ([], [])
    with pytest.raises(UnknownSubject):
        people.find_subjects("people", [PEOPLE[0]])
    assert people.get_request(request.id).subjects == (ref,)  # opaque: neither key nor handle leads to it


def test_a_file_that_still_has_the_erased_is_never_read_for_them(
    people: Ledger, people_csv: Path, forget: Callable[..., str]
) -> None:
    forget(PEOPLE[0])
    write_csv(people_csv, [*rows_of(), *rows_of([PEOPLE[0]], each=9)[4:]])
    live = people.live_data("people")
    assert [row.record.id for row in live.rows] == _ids_without(PEOPLE[0])
    assert live.ignored == 9


def test_everybody_may_leave(people: Ledger, forget: Callable[..., str]) -> None:
    forget(*PEOPLE)
    assert _ids(people) == []
    assert people.dataset("people").n_records == 0
    assert people.keys.subjects.all() == {}


def test_two_requests_for_one_person_finish_both(people: Ledger) -> None:
    requests = [people.open_request("people", [PEOPLE[k]]).id for k in (0, 1)]
    with people.database.write() as session:  # as earlier releases let them be opened
        session.execute(text("UPDATE request_subject SET subject_id = 1"))
    assert [people.entomb(r) for r in requests] == [4, 4]
    assert [people.finish_erasure(r).n_records for r in requests] == [4, 0]
    assert people.dataset("people").version == 2


def test_finishing_needs_tombstones_and_no_open_transaction(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    with pytest.raises(NotReady, match="not entombed yet"):
        people.finish_erasure(request.id)
    people.entomb(request.id)
    with people.transaction(), pytest.raises(NotReady, match="inside a transaction"):
        people.finish_erasure(request.id)
    assert people.count_subjects("people") == {"live": 3, "erased": 0}


def test_finishing_again_changes_nothing(people: Ledger, forget: Callable[..., str]) -> None:
    request = forget(PEOPLE[0])
    info, events = people.dataset("people"), people.events(request)
    assert people.finish_erasure(request).datasets["people"].after == info.manifest
    assert (people.dataset("people"), people.events(request)) == (info, events)


KILL = """
import os, sys
from pathlib import Path
import expunge.{module} as module
from expunge.ledger import Columns, Ledger

original = module.{name}
def killed(*args, **kwargs):
    if {after}:
        original(*args, **kwargs)
    os._exit(9)  # no cleanup of any kind, as after SIGKILL
module.{name} = killed
ledger = Ledger.open(Path(sys.argv[1]))
{action}
"""


def _kill(ledger: Ledger, module: str, name: str, after: bool, action: str) -> None:
    """Run an action in another process and end it without any cleanup before or after a function."""
    code = KILL.format(module=module, name=name, after=after, action=action)
    done = subprocess.run([sys.executable, "-c", code, str(ledger.root)], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr


@pytest.mark.parametrize(
    ("module", "name", "after", "finished"),
    [
        ("core.durable", "os.replace", False, False),  # the new manifest is a temporary file
        ("ledger.erasure", "record_version", True, False),  # written, not recorded
        ("ledger.erasure", "append_event", True, False),  # the last statement before the commit
        ("ledger.store", "sweep", False, True),  # committed; nothing unlinked, no key destroyed
        ("ledger.sweep", "_tidy", True, True),
        ("ledger.subject_keys", "SubjectKeys.destroy", False, True),
        ("ledger.subject_keys", "SubjectKeys.destroy", True, True),
        ("ledger.database", "Database.scrub", False, True),
        ("ledger.database", "Database.scrub", True, True),
    ],
)
def test_an_erasure_killed_at_any_point_stands_before_or_after_and_completes(
    people: Ledger, module: str, name: str, after: bool, finished: bool
) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    people.entomb(request.id)
    key, handle = people.keys.get(request.subjects[0]), people.keys.handle(PEOPLE[0])
    _kill(people, module, name, after, f"ledger.finish_erasure({request.id!r})")

    again = Ledger.open(people.root)
    assert again.dataset("people").version == (2 if finished else 1)
    assert again.count_subjects("people")["erased"] == int(finished)
    assert _ids(again) == _ids_without(PEOPLE[0])
    assert again.finish_erasure(request.id).n_records == 4
    assert _ids(again) == _ids_without(PEOPLE[0])
    assert [e.kind for e in again.events(request.id)] == ["received", "entombed", "erased"]
    assert (holds(people.root, key), holds(people.root, handle)) == ([], [])
    assert len(list(again.manifests.iterdir())) == 1


@pytest.mark.parametrize(
    ("module", "name", "after", "added"),
    [
        ("ledger.subject_keys", "SubjectKeys.add", True, False),
        ("core.durable", "os.replace", False, False),
        ("ledger.datasets", "record_version", True, False),
        ("ledger.store", "sweep", False, True),
    ],
)
def test_adding_killed_at_any_point_adds_all_or_nothing(
    people: Ledger, tmp_path: Path, module: str, name: str, after: bool, added: bool
) -> None:
    source = write_csv(tmp_path / "more.csv", rows_of(["Dora"]))
    columns = "Columns(id='id', subject='author', question='q', answer='a')"
    _kill(people, module, name, after, f"ledger.add_dataset('more', Path({str(source)!r}), {columns})")

    again = Ledger.open(people.root)
    assert [d.name for d in again.datasets()] == (["more", "people"] if added else ["people"])
    assert _ids(again) == _ids_without()
    if not added:
        again.add_dataset("more", source, COLUMNS)
    assert len(again.live_records("more")) == 4
    assert len(again.keys.subjects.all()) == 4  # none left over from the killed run
    assert len(list(again.manifests.iterdir())) == 2
