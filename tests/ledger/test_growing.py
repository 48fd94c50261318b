"""A dataset lives: new rows make its next version, and what its owner took out is expected, refused by count, or withdrawn."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.conftest import COLUMNS, PEOPLE, contents, rows_of, write_csv

from expunge.core.errors import DigestMismatch, InvalidData
from expunge.ledger import Columns, Ledger, RequestState
from expunge.ledger.manifests import read_manifest

DORA = [{"id": f"d{k}", "author": "Dora", "q": f"Who is Dora {k}?", "a": "Somebody."} for k in range(3)]
WITHOUT_IDS = Columns(subject="author", question="q", answer="a")


def gone(*people: str) -> list[dict[str, str]]:
    return [row for row in rows_of() if row["author"] not in people]


def commitments(ledger: Ledger) -> set[bytes]:
    return set(read_manifest(ledger.manifests, ledger.dataset("people").manifest))


def test_new_rows_make_the_next_version(people: Ledger, people_csv: Path) -> None:
    before = commitments(people)
    more = {"id": "more", "author": PEOPLE[0], "q": "More?", "a": "Yes."}
    growth = people.grow_dataset("people", write_csv(people_csv, [more, *rows_of(), *DORA]), COLUMNS)
    assert (growth.n_new, growth.n_people, growth.n_gone, growth.withdrawn) == (4, 1, 0, frozenset())
    assert (growth.dataset.version, growth.dataset.n_records, growth.dataset.n_subjects) == (2, 16, 4)
    assert before < commitments(people)
    assert [r.id for r in people.live_records("people")][:1] == ["more"]
    assert people.find_subjects("people", ["Dora"])
    assert people.grow_dataset("people", people_csv, COLUMNS).n_new == 0
    assert people.dataset("people").version == 2


def test_the_file_may_have_another_name_each_night(people: Ledger, tmp_path: Path) -> None:
    tonight = write_csv(tmp_path / "tonight.csv", [*rows_of(), *DORA])
    people.grow_dataset("people", tonight, COLUMNS)
    assert people.dataset("people").source == str(tonight)
    assert len(people.live_records("people")) == 15


@pytest.mark.parametrize(
    "change", [{"subject": "q"}, {"answer": "q"}, {"id": None}, {"question": None}, {"value": "a"}]
)
def test_other_columns_are_refused(people: Ledger, people_csv: Path, change: dict[str, str | None]) -> None:
    before = contents(people.root)
    named = {"subject": "author", "question": "q", "answer": "a", "id": "id"} | change
    with pytest.raises(InvalidData, match=rf"with --{next(iter(change))} .*give the same columns"):
        people.grow_dataset("people", write_csv(people_csv, [*rows_of(), *DORA]), Columns(**named))  # type: ignore[arg-type]
    assert contents(people.root / "manifests") == {
        k.removeprefix("manifests/"): v for k, v in before.items() if "manifests/" in k
    }


def test_a_fault_in_the_file_changes_nothing(people: Ledger, people_csv: Path) -> None:
    keys, version = people.keys.subjects.all(), people.dataset("people")
    write_csv(people_csv, [*rows_of(), *DORA, DORA[0]])
    with pytest.raises(InvalidData, match="the same id as"):
        people.grow_dataset("people", people_csv, COLUMNS)
    assert (people.keys.subjects.all(), people.dataset("people")) == (keys, version)


def test_rows_that_an_open_request_is_about_may_be_gone(people: Ledger, people_csv: Path) -> None:
    """Finding 12: who deletes first, as the law wants, was told to restore the person's data."""
    people.open_request("people", [PEOPLE[1]])
    write_csv(people_csv, gone(PEOPLE[1]))
    live = people.live_data("people")
    assert (len(live.rows), len(live.gone)) == (8, 4)
    growth = people.grow_dataset("people", people_csv, COLUMNS)
    assert (growth.n_gone, growth.n_new, growth.dataset.n_records) == (4, 0, 12)


def test_rows_of_nobody_who_asked_are_refused_by_count(people: Ledger, people_csv: Path) -> None:
    people.open_request("people", [PEOPLE[1]])
    write_csv(people_csv, gone(PEOPLE[1], PEOPLE[2]))
    for call in (lambda: people.live_data("people"), lambda: people.grow_dataset("people", people_csv, COLUMNS)):
        with pytest.raises(DigestMismatch, match=r"4 of 12 .*nobody asked.*--withdrawn"):
            call()


def test_withdrawn_rows_become_a_request_and_never_come_back(people: Ledger, people_csv: Path) -> None:
    write_csv(people_csv, [*gone(PEOPLE[1]), *DORA])
    growth = people.grow_dataset("people", people_csv, COLUMNS, withdrawn=True)
    assert (len(growth.withdrawn), growth.n_new) == (4, 3)
    request = people.request_commitments("people", growth.withdrawn, kind="withdrawal")
    assert (request.kind, request.n_records, request.subjects, request.datasets) == ("withdrawal", 4, (), ("people",))
    assert people.entomb(request.id) == 4
    assert len(people.live_records("people")) == 11
    erasure = people.finish_erasure(request.id)
    assert (erasure.n_records, erasure.n_subjects) == (4, 0)
    assert people.dataset("people").n_records == 11
    assert people.find_subjects("people", [PEOPLE[1]])  # the person stays
    write_csv(people_csv, [*rows_of(), *DORA])
    again = people.grow_dataset("people", people_csv, COLUMNS)
    assert (again.n_new, again.n_entombed) == (0, 4)


def test_new_rows_of_who_asked_to_leave_are_not_taken_in(people: Ledger, people_csv: Path) -> None:
    people.open_request("people", [PEOPLE[0]])
    more = {"id": "more", "author": PEOPLE[0], "q": "More?", "a": "Yes."}
    growth = people.grow_dataset("people", write_csv(people_csv, [*rows_of(), more]), COLUMNS)
    assert (growth.n_new, growth.n_waiting) == (0, 1)


def test_rows_that_are_not_recorded_are_counted_until_somebody_looked(people: Ledger, people_csv: Path) -> None:
    assert people.unrecorded("people") == 0
    write_csv(people_csv, [*rows_of(), *DORA])
    assert people.unrecorded("people") == 3
    people.grow_dataset("people", people_csv, COLUMNS)
    assert people.unrecorded("people") == 0


def test_a_record_asked_for_twice_is_a_duplicate(people: Ledger) -> None:
    rows = people.live_data("people").rows
    first = people.request_commitments("people", [rows[0].commitment])
    second = people.request_commitments("people", [rows[0].commitment], no_match=1)
    assert second.state is RequestState.DUPLICATE
    detail = people.events(second.id)[0].detail
    assert (detail["duplicate_of"], detail["no_match"]) == ([first.id], 1)
    assert people.request_commitments("people", [], no_match=2).state is RequestState.NO_MATCH


@pytest.fixture
def docs(ledger: Ledger, people_csv: Path) -> Ledger:
    """The same dataset, its records known by the numbers of their lines."""
    ledger.add_dataset("people", people_csv, WITHOUT_IDS)
    return ledger


def finish(ledger: Ledger, *names: str) -> None:
    request = ledger.open_request("people", names)
    ledger.entomb(request.id)
    ledger.finish_erasure(request.id)


def test_a_file_without_ids_keeps_working_when_the_erased_lines_go(docs: Ledger, people_csv: Path) -> None:
    """Case M: what the certificate invites to blocked every further request."""
    before = {row.record.answer: row.commitment for row in docs.live_data("people").rows}
    finish(docs, PEOPLE[1])
    write_csv(people_csv, gone(PEOPLE[1]))
    with pytest.raises(DigestMismatch, match=r"4 of 8 .*`expunge data follow .*people\.csv --name people`"):
        docs.live_records("people")
    followed = docs.follow_file("people", people_csv)
    assert (followed.n_matched, followed.n_unrecorded, followed.dataset.columns.lines) == (
        8,
        0,
        ((1, 4), (9, 12), (13, None)),
    )
    live = docs.live_data("people").rows
    assert [row.record.id for row in live] == [f"row-{n}" for n in (*range(1, 5), *range(9, 13))]
    assert all(before[row.record.answer] == row.commitment for row in live)
    finish(docs, PEOPLE[2])  # and again
    write_csv(people_csv, gone(PEOPLE[1], PEOPLE[2]))
    docs.follow_file("people", people_csv)
    assert [row.record.id for row in docs.live_data("people").rows] == [f"row-{n}" for n in range(1, 5)]


def test_lines_may_go_while_the_request_is_open(docs: Ledger, people_csv: Path, tmp_path: Path) -> None:
    docs.open_request("people", [PEOPLE[0]])
    followed = docs.follow_file("people", write_csv(tmp_path / "new.csv", gone(PEOPLE[0])))
    assert (followed.n_matched, followed.n_gone) == (8, 4)
    assert len(docs.live_records("people")) == 8


def test_what_cannot_be_matched_is_refused_by_count(docs: Ledger, people_csv: Path) -> None:
    before = docs.dataset("people")
    rows = rows_of()
    rows[5]["a"] = "changed"
    write_csv(people_csv, rows)
    with pytest.raises(DigestMismatch, match="1 of 12 recorded rows") as e:
        docs.follow_file("people", people_csv)
    assert "Zoë" not in str(e.value)
    write_csv(people_csv, rows_of()[::-1])
    with pytest.raises(DigestMismatch, match="11 of 12 recorded rows"):
        docs.follow_file("people", people_csv)
    assert docs.dataset("people") == before


def test_lines_are_withdrawn_by_what_they_hold(docs: Ledger, people_csv: Path) -> None:
    """Taken by their numbers, every line behind a withdrawn one would be withdrawn too, and new."""
    write_csv(people_csv, rows_of()[1:])
    with pytest.raises(InvalidData, match=r"no id column.*data follow .* --withdrawn"):
        docs.grow_dataset("people", people_csv, WITHOUT_IDS, withdrawn=True)
    followed = docs.follow_file("people", people_csv, withdrawn=True)
    assert (followed.n_matched, len(followed.withdrawn), followed.n_unrecorded) == (11, 1, 0)


def test_numbers_are_never_given_twice(docs: Ledger, people_csv: Path) -> None:
    finish(docs, PEOPLE[2])  # the last four lines
    write_csv(people_csv, [*gone(PEOPLE[2]), *DORA])
    followed = docs.follow_file("people", people_csv)
    assert followed.n_unrecorded == docs.unrecorded("people") == 3
    growth = docs.grow_dataset("people", people_csv, WITHOUT_IDS)
    assert (growth.n_new, growth.n_people) == (3, 1)
    assert [row.record.id for row in docs.live_data("people").rows][-3:] == ["row-13", "row-14", "row-15"]
    assert growth.dataset.columns.lines == ((1, 8), (13, 15), (16, None))


def test_a_file_with_ids_may_move(people: Ledger, people_csv: Path, tmp_path: Path) -> None:
    moved = people_csv.rename(tmp_path / "moved.csv")
    followed = people.follow_file("people", moved)
    assert (followed.n_matched, followed.dataset.source) == (12, str(moved))
    assert len(people.live_records("people")) == 12


def test_equal_rows_of_one_person_follow_in_their_order(
    ledger: Ledger, tmp_path: Path, forget: Callable[..., str]
) -> None:
    same = {"author": "Ada", "q": "?", "a": "same"}
    file = write_csv(tmp_path / "same.csv", [same, {"author": "Bob", "q": "?", "a": "b"}, same, same])
    ledger.add_dataset("same", file, WITHOUT_IDS)
    request = ledger.open_request("same", ["Bob"])
    ledger.entomb(request.id)
    ledger.finish_erasure(request.id)
    followed = ledger.follow_file("same", write_csv(file, [same, same, same]))
    assert followed.dataset.columns.lines == ((1, 1), (3, 4), (5, None))
