"""A clock that goes back does not put what happens now before what happened."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core import Unit
from expunge.ledger import Ledger, UnitMembers

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock of the machine."""

    def to(moment: datetime) -> None:
        monkeypatch.setattr("expunge.ledger.event_time.now", lambda: moment)

    to(NOW)
    return to


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(days=3653)], ids=["a second", "ten years"])
def test_every_time_stands_in_the_order_of_what_happened(
    people: Ledger, clock: Callable[[datetime], None], back: timedelta
) -> None:
    first = people.open_request("people", [PEOPLE[0]])
    clock(NOW + timedelta(hours=2))
    people.append_event(first.id, "note")
    clock(NOW - back)
    second = people.open_request("people", [PEOPLE[1]])  # of another request: the order is the project's
    people.append_event(second.id, "note")
    version = people.record_model_version(
        "m", kind="k", digest="sha256:a", path="m/a", units=[UnitMembers(Unit("u", (0,), "d"), None)]
    )
    certificate = people.record_certificate(second.id, digest="sha256:c", path="c.json")
    latest = "2026-12-01T11:00:00Z"
    assert [e.at for e in people.events(first.id)] == ["2026-12-01T09:00:00Z", latest]
    assert [second.received_at, *(e.at for e in people.events(second.id))] == [latest, latest, latest]
    assert (version.created_at, certificate.created_at) == (latest, latest)
    clock(NOW + timedelta(hours=3))
    assert people.append_event(second.id, "note").at == "2026-12-01T12:00:00Z"


def test_a_time_of_receipt_that_is_given_stands(people: Ledger, clock: Callable[[datetime], None]) -> None:
    people.open_request("people", [PEOPLE[0]])
    earlier = people.open_request("people", [PEOPLE[1]], received_at=NOW - timedelta(days=20))
    assert earlier.received_at == "2026-11-11T09:00:00Z"
    assert people.events(earlier.id)[0].at == "2026-12-01T09:00:00Z"
