"""Events are a chain: whoever changes the past is found, also by the end that is missing."""

import pytest
from sqlalchemy import text
from tests.ledger.conftest import PEOPLE
from tests.ledger.test_migrations import back_to_the_first

from expunge.core.errors import InvalidData, UnknownName
from expunge.ledger import Ledger
from expunge.ledger.chain import TRIGGERS


@pytest.fixture
def story(people: Ledger) -> Ledger:
    """Two requests whose events alternate."""
    first, second = (people.open_request("people", [person]).id for person in PEOPLE[:2])
    for k in range(3):
        people.append_event(first, "step", {"k": k, "share": 0.1})
        people.append_event(second, "step", {"k": k})
    return people


def tampered(ledger: Ledger, *statements: str) -> None:
    """Past the triggers, which are put back."""
    with ledger.database.write() as session:
        triggers = session.execute(
            text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'request_event%'")
        ).all()
        for name, _ in triggers:
            session.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            session.connection().exec_driver_sql(statement)  # colons in times are no parameters
        for _, sql in triggers:
            session.execute(text(sql))


def test_a_story_that_nobody_touched_is_whole(story: Ledger) -> None:
    head = story.check_events()
    assert (head.count, head.since) == (8, None)
    assert story.check_events({8: head.digest}) == head
    with pytest.raises(InvalidData, match="binds 9 events, and the ledger holds 8"):
        story.check_events({9: head.digest})
    with pytest.raises(InvalidData, match="binds another story than the ledger's, up to event 7"):
        story.check_events({7: head.digest})
    again = Ledger.open(story.root)
    assert again.check_events() == head
    again.append_event(again.requests()[0].id, "more")
    assert again.check_events().count == 9
    again.check_events({8: head.digest})


CHANGES = {
    "changed": "UPDATE request_event SET detail = json('{\"k\": 7}') WHERE position = {n}",
    "moved to another time": "UPDATE request_event SET at = '2020-01-01T00:00:00Z' WHERE position = {n}",
    "given to another request": "UPDATE request_event SET request_id = 3 - request_id, seq = seq + 100 WHERE position = {n}",
    "removed": "DELETE FROM request_event WHERE position = {n}",
    "taken out of the chain": "UPDATE request_event SET position = NULL WHERE position = {n}",
}


@pytest.mark.parametrize("n", [1, 4, 8])
@pytest.mark.parametrize("change", CHANGES)
def test_an_event_that_was_altered_is_found_wherever_it_stands(story: Ledger, change: str, n: int) -> None:
    tampered(story, CHANGES[change].replace("{n}", str(n)))
    with pytest.raises(InvalidData, match=r"restore ledger\.db"):
        story.check_events()


def test_an_event_that_was_inserted_is_found(story: Ledger) -> None:
    columns = "request_id, seq, at, kind, detail, position, previous"
    for position in ("NULL", "9"):
        tampered(
            story,
            f"INSERT INTO request_event ({columns}) SELECT request_id, 50, at, kind, detail, {position}, previous "
            "FROM request_event WHERE position = 8",
        )
        with pytest.raises(InvalidData, match=r"restore ledger\.db"):
            story.check_events()
        tampered(story, "DELETE FROM request_event WHERE seq = 50")
    assert story.check_events().count == 8


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_that_was_dropped_or_disarmed_is_found(story: Ledger, name: str) -> None:
    with story.database.write() as session:
        session.execute(text(f"DROP TRIGGER {name}"))
    with pytest.raises(InvalidData, match=f"trigger {name} is gone"):
        story.check_events()
    table = name.partition("_no_")[0]
    with story.database.write() as session:
        session.execute(text(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END"))
    with pytest.raises(InvalidData, match=f"trigger {name} is gone"):
        story.check_events()


def test_a_chain_whose_end_is_gone_does_not_begin_anew(story: Ledger) -> None:
    tampered(story, "DELETE FROM event_chain")
    with pytest.raises(InvalidData, match="head of their chain is gone"):
        Ledger.open(story.root)


def test_in_an_older_ledger_the_chain_begins_when_it_is_opened_and_binds_what_was_there(story: Ledger) -> None:
    back_to_the_first(story)
    opened = Ledger.open(story.root)
    head = opened.check_events()
    assert (head.count, head.since is not None) == (0, True)
    opened.append_event(opened.requests()[0].id, "since then")
    assert opened.check_events().count == 1
    tampered(opened, "UPDATE request_event SET detail = json('{\"k\": 7}') WHERE seq = 2 AND position IS NULL")
    with pytest.raises(InvalidData, match="event 1 of the ledger does not follow"):
        opened.check_events()


def test_an_event_that_is_rolled_back_leaves_the_chain_as_it_was(story: Ledger) -> None:
    head = story.check_events()
    with pytest.raises(UnknownName):
        two_events(story)
    assert story.check_events() == head


def two_events(ledger: Ledger) -> None:
    """In one transaction, of which the second fails."""
    with ledger.transaction():
        ledger.append_event(ledger.requests()[0].id, "never")
        ledger.append_event("req-0", "of nobody")
