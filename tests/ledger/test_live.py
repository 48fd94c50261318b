from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.conftest import COLUMNS, PEOPLE, rows_of, write_csv

from expunge.core.errors import DigestMismatch, InvalidData
from expunge.ledger import Columns, Ledger


def test_everything_recorded_is_live_in_the_order_of_the_file(people: Ledger) -> None:
    assert [r.id for r in people.live_records("people")] == [r["id"] for r in rows_of()]
    live = people.live_data("people")
    assert live.ignored == 0
    assert {row.subject for row in live.rows} == people.keys.subjects.all().keys()
    assert len({row.commitment for row in live.rows}) == 12


def test_rows_in_another_order_and_new_rows_change_nothing(people: Ledger, people_csv: Path) -> None:
    rows = rows_of()[::-1]
    new = {"id": "new", "author": PEOPLE[0], "q": "?", "a": "!"}
    stranger = {"id": "new-2", "author": "Dora", "q": "?", "a": "!"}
    write_csv(people_csv, [new, *rows, stranger])
    live = people.live_data("people")
    assert [row.record.id for row in live.rows] == [r["id"] for r in rows]
    assert live.ignored == 2


@pytest.mark.parametrize(
    "change", [{"a": "another answer"}, {"q": "another question"}, {"id": "x"}, {"author": "Dora"}]
)
def test_a_changed_row_is_refused_by_count_not_by_name(
    people: Ledger, people_csv: Path, change: dict[str, str]
) -> None:
    rows = rows_of()
    rows[5] |= change
    write_csv(people_csv, rows)
    with pytest.raises(
        DigestMismatch, match=r"1 of 12 recorded rows of dataset 'people' are missing.*restore the file"
    ) as e:
        people.live_records("people")
    assert not any(word in str(e.value) for word in ("rec-", "Zoë", "id column"))


def test_missing_rows_are_refused(people: Ledger, people_csv: Path) -> None:
    write_csv(people_csv, rows_of()[3:])
    with pytest.raises(DigestMismatch, match="3 of 12"):
        people.live_records("people")


def test_without_an_id_column_the_message_says_why_lines_moved(ledger: Ledger, people_csv: Path) -> None:
    ledger.add_dataset("docs", people_csv, Columns(subject="author", answer="a"))
    write_csv(people_csv, rows_of()[1:])
    with pytest.raises(DigestMismatch, match="without an id column, removing a line renames all after it"):
        ledger.live_records("docs")


def test_a_source_that_is_gone_is_named(people: Ledger, people_csv: Path) -> None:
    people_csv.unlink()
    with pytest.raises(InvalidData, match="no file at"):
        people.live_records("people")


def test_an_altered_manifest_is_refused(people: Ledger) -> None:
    (people.root / people.dataset("people").path).write_bytes(b"PAR1")
    with pytest.raises(DigestMismatch, match="damaged"):
        people.live_records("people")


def test_lost_keys_are_told_apart_from_a_changed_file(people: Ledger) -> None:
    people.keys.destroy([next(iter(people.keys.subjects.all()))])
    with pytest.raises(DigestMismatch, match=r"4 of 12 .*key is missing; restore keys/subjects\.db"):
        people.live_records("people")


def test_the_erased_may_be_removed_from_the_file_or_stay_in_it(
    people: Ledger, people_csv: Path, forget: Callable[..., str]
) -> None:
    forget(PEOPLE[1])
    retained = [r["id"] for r in rows_of() if r["author"] != PEOPLE[1]]
    assert [r.id for r in people.live_records("people")] == retained
    write_csv(people_csv, [r for r in rows_of() if r["author"] != PEOPLE[1]])
    assert [r.id for r in people.live_records("people")] == retained


def test_the_same_person_in_another_dataset_is_another_subject(
    people: Ledger, people_csv: Path, forget: Callable[..., str]
) -> None:
    people.add_dataset("orders", people_csv, COLUMNS)
    assert people.datasets_that_hold([PEOPLE[1], "Dora"]) == {"orders": 1, "people": 1}
    forget(PEOPLE[1])
    assert len(people.live_records("orders")) == 12
    assert people.datasets_that_hold([PEOPLE[1]]) == {"orders": 1}
