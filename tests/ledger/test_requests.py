from datetime import UTC, datetime

import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import EmptyForgetSet, InvalidParameter, UnknownName, UnknownSubject
from expunge.ledger import Ledger, RequestState

JANUARY = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_request_has_a_clock_and_an_opaque_name(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0], PEOPLE[0]], JANUARY, {"note": "all records"})
    assert request.id.startswith("req-")
    assert (request.kind, request.dataset, request.state) == ("erasure", "people", RequestState.RECEIVED)
    assert (request.received_at, request.due_at) == ("2026-01-31T12:00:00Z", "2026-03-02T23:59:59Z")
    assert request.subjects == tuple(people.find_subjects("people", [PEOPLE[0]]).values())
    assert request.scope == {"note": "all records"}
    assert people.get_request(request.id) == Ledger.open(people.root).get_request(request.id) == request
    assert [(e.seq, e.kind, e.detail) for e in people.events(request.id)] == [(1, "received", {"n_subjects": 1})]


def test_requests_come_in_the_order_in_which_they_are_due(people: Ledger) -> None:
    later = people.open_request("people", [PEOPLE[0]], datetime(2026, 6, 1, tzinfo=UTC))
    sooner = people.open_request("people", [PEOPLE[0]], JANUARY)
    assert [r.id for r in people.requests()] == [sooner.id, later.id]


def test_events_are_numbered_and_carry_the_state(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    people.append_event(request.id, "planned", {"route": "rebuild"}, RequestState.IN_PROGRESS)
    people.append_event(request.id, "note")
    assert [(e.seq, e.kind) for e in people.events(request.id)] == [
        (1, "received"),
        (2, "planned"),
        (3, "note"),
    ]
    assert people.get_request(request.id).state is RequestState.IN_PROGRESS


def test_a_request_that_names_nobody_leaves_no_trace(people: Ledger) -> None:
    for identities, error in (([], EmptyForgetSet), ([PEOPLE[0], "Dora"], UnknownSubject)):
        with pytest.raises(error):
            people.open_request("people", identities)
    with pytest.raises(InvalidParameter, match="time zone"):
        people.open_request("people", [PEOPLE[0]], datetime(2026, 1, 1))
    assert people.requests() == ()


def test_a_request_that_fails_half_way_leaves_no_trace(people: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("expunge.ledger.requests.append_event", fail)
    with pytest.raises(RuntimeError):
        people.open_request("people", [PEOPLE[0]])
    assert people.requests() == ()


@pytest.mark.parametrize("detail", [{"x": float("nan")}, {"x": object()}])
def test_what_is_not_json_is_refused(people: Ledger, detail: dict[str, object]) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    with pytest.raises(InvalidParameter, match="cannot be recorded as JSON"):
        people.append_event(request.id, "note", detail)
    assert len(people.events(request.id)) == 1


def test_an_unknown_request_is_named(people: Ledger) -> None:
    for call in (people.get_request, people.events, people.entomb, people.finish_erasure, people.steps):
        with pytest.raises(UnknownName, match="no request 'req-0' is recorded"):
            call("req-0")
