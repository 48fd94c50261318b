from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ledger.conftest import COLUMNS, PEOPLE, rows_of, write_csv

from expunge.core.errors import EmptyForgetSet, InvalidParameter, NotReady, UnknownName
from expunge.ledger import Calendar, Ledger, Regulation, RequestState

JANUARY = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_request_has_a_clock_and_an_opaque_name(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0], PEOPLE[0]], JANUARY, {"note": "all records"})
    assert request.id.startswith("req-")
    assert (request.kind, request.dataset, request.state) == ("erasure", "people", RequestState.RECEIVED)
    assert (request.received_at, request.due_at) == ("2026-01-31T12:00:00Z", "2026-03-02T23:59:59Z")
    assert request.subjects == tuple(people.find_subjects("people", [PEOPLE[0]]).values())
    assert request.scope == {"note": "all records"}
    assert people.get_request(request.id) == Ledger.open(people.root).get_request(request.id) == request
    (received,) = people.events(request.id)
    assert (received.seq, received.kind) == (1, "received")
    assert received.detail == {
        "n_subjects": 1,
        "n_people": 1,
        "no_match": 0,
        "duplicate": 0,
        "duplicate_of": [],
        "searched": {"people": people.dataset("people").manifest},
        "identified": "operator",
    }


def test_requests_come_in_the_order_in_which_they_are_due(people: Ledger) -> None:
    later = people.open_request("people", [PEOPLE[0]], datetime(2026, 6, 1, tzinfo=UTC))
    sooner = people.open_request("people", [PEOPLE[1]], JANUARY)
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
    with pytest.raises(EmptyForgetSet):
        people.open_request("people", [])
    with pytest.raises(InvalidParameter, match="time zone"):
        people.open_request("people", [PEOPLE[0]], datetime(2026, 1, 1))
    assert people.requests() == ()


def test_who_is_nowhere_found_stops_nobody_else(people: Ledger) -> None:
    request = people.open_request("people", ["Dora", PEOPLE[0], "Emil"])
    assert request.state is RequestState.RECEIVED
    assert len(request.subjects) == 1
    detail = people.events(request.id)[0].detail
    assert (detail["n_people"], detail["no_match"], detail["duplicate"]) == (1, 2, 0)


def test_a_request_for_strangers_is_evidence_that_they_were_searched_for(people: Ledger) -> None:
    request = people.open_request(None, ["Dora"])
    assert (request.state, request.subjects) == (RequestState.NO_MATCH, ())
    assert people.events(request.id)[0].detail["searched"] == {"people": people.dataset("people").manifest}
    assert [e.kind for e in people.events(request.id)] == ["received", "no_match"]


def test_a_second_open_request_points_at_the_first(people: Ledger) -> None:
    first = people.open_request("people", [PEOPLE[0]])
    second = people.open_request(None, [PEOPLE[0]])
    assert (second.state, second.subjects) == (RequestState.DUPLICATE, ())
    mixed = people.open_request(None, [PEOPLE[0], PEOPLE[1]])
    assert mixed.state is RequestState.RECEIVED
    for request in (second, mixed):
        assert people.events(request.id)[0].detail["duplicate_of"] == [first.id]
    people.append_event(first.id, "cancelled", {}, RequestState.CANCELLED)
    assert people.open_request(None, [PEOPLE[0]]).state is RequestState.RECEIVED


def test_without_a_dataset_everyone_that_holds_a_person_is_found(people: Ledger, tmp_path: Path) -> None:
    people.add_dataset("orders", write_csv(tmp_path / "orders.csv", rows_of([PEOPLE[0], "Dora"])), COLUMNS)
    request = people.open_request(None, [PEOPLE[0], "Dora"])
    assert request.datasets == ("people", "orders")
    assert len(request.subjects) == 3
    assert people.entomb(request.id) == 12
    erasure = people.finish_erasure(request.id)
    assert (erasure.n_records, erasure.n_subjects, set(erasure.datasets)) == (12, 3, {"people", "orders"})
    assert people.count_subjects("orders") == {"live": 0, "erased": 2}


def test_one_person_may_have_several_identities(people: Ledger) -> None:
    request = people.open_request(None, [("c-17", PEOPLE[0]), ("c-18", "Dora")])
    assert len(request.subjects) == 1
    assert people.events(request.id)[0].detail["no_match"] == 1


def test_a_law_and_a_place_decide_when_a_request_is_due(people: Ledger) -> None:
    berlin = Calendar.of(["2026-03-02"], "Europe/Berlin")
    month = people.open_request("people", [PEOPLE[0]], JANUARY, calendar=berlin)
    assert (month.due_at, month.acknowledge_by) == ("2026-03-03T22:59:59Z", None)  # Monday is a holiday there
    days = people.open_request("people", [PEOPLE[1]], JANUARY, regulation=Regulation.CCPA)
    assert (days.due_at, days.acknowledge_by) == ("2026-03-17T23:59:59Z", "2026-02-13T23:59:59Z")
    assert people.get_request(days.id).regulation is Regulation.CCPA


def test_more_time_is_taken_once_and_while_the_person_can_still_be_told(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]])
    with pytest.raises(InvalidParameter, match="needs a reason"):
        people.extend_request(request.id, " ")
    later = people.extend_request(request.id, "many systems")
    assert later.due_at > request.due_at
    assert later.extended
    with pytest.raises(InvalidParameter, match="extended once"):
        people.extend_request(request.id, "more systems")
    old = people.open_request("people", [PEOPLE[1]], JANUARY)
    with pytest.raises(InvalidParameter, match="told to the person by 2026-03-02"):
        people.extend_request(old.id, "many systems")
    people.append_event(old.id, "cancelled", {}, RequestState.CANCELLED)
    with pytest.raises(NotReady, match="has ended"):
        people.extend_request(old.id, "many systems")


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
