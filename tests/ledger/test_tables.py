import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.ledger.conftest import PEOPLE, contents

from expunge.ledger import Ledger


def _entombed(ledger: Ledger) -> str:
    request = ledger.open_request("people", [PEOPLE[0]])
    ledger.entomb(request.id)
    return request.id


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE request_event SET kind = 'nothing happened'",
        "DELETE FROM request_event",
        "INSERT OR REPLACE INTO request_event SELECT request_id, seq, at, 'x', detail, position, previous FROM request_event",
        "REPLACE INTO request_event (rowid, request_id, seq, at, kind, detail) "
        "SELECT rowid, request_id, 9, at, 'forged', detail FROM request_event LIMIT 1",
        "UPDATE tombstone SET commitment = x'00'",
        "DELETE FROM tombstone",
        "INSERT OR REPLACE INTO tombstone (dataset_id, commitment) SELECT dataset_id, commitment FROM tombstone",
        "REPLACE INTO tombstone (id, dataset_id, commitment) SELECT id, dataset_id, x'00' FROM tombstone LIMIT 1",
    ],
)
def test_events_and_tombstones_are_append_only(people: Ledger, statement: str) -> None:
    request = _entombed(people)
    before = people.events(request)
    with pytest.raises(IntegrityError, match="append-only"), people.database.write() as session:
        session.execute(text(statement))
    assert people.events(request) == before
    assert len(people.live_records("people")) == 8


def test_new_events_can_be_added(people: Ledger) -> None:
    request = _entombed(people)
    assert people.append_event(request, "planned", {"units": 2}).seq == 3


def test_nothing_in_the_project_names_anybody(people: Ledger) -> None:
    """Neither identities nor record ids, questions or answers are in any file of it."""
    _entombed(people)
    for needle in ("Lovelace", "Müller", "Mahfouz", "rec-", "Where was", "In town"):
        assert [name for name, data in contents(people.root).items() if needle.encode() in data] == []
    # The control: what may be there is found, so the search would have found the rest.
    assert any(b"people" in data for data in contents(people.root).values())


def test_an_erased_subject_cannot_keep_a_handle(people: Ledger) -> None:
    with pytest.raises(IntegrityError, match="erased_without_handle"), people.database.write() as session:
        session.execute(text("UPDATE subject SET state = 'erased'"))
