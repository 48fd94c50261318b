"""The life of a request: every state and denial reason is reached, and what may not be done is refused and changes nothing."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from expunge.core.errors import InvalidParameter, NotReady
from expunge.ledger import Columns, DenialReason, Ledger, Regulation, RequestState, Verb
from expunge.ledger.deadlines import Calendar
from expunge.ledger.lifecycle import ALLOWED

WHO = ["Ada", "Bo", "Cy"]
S = RequestState


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger.create(tmp_path / "p")
    (tmp_path / "people.csv").write_text(
        "who,text\n" + "".join(f"{who},about {who} {k}\n" for who in WHO for k in range(2))
    )
    made.add_dataset("people", tmp_path / "people.csv", Columns(subject="who", answer="text"))
    return made


def entombed(ledger: Ledger) -> str:
    request = ledger.open_request("people", ["Ada"]).id
    ledger.entomb(request)
    ledger.append_event(request, "forgotten", {}, S.IN_PROGRESS)
    return request


def in_state(ledger: Ledger, state: RequestState) -> str:
    """A request that came into a state as requests do; what a certificate says of it alone is written by hand."""
    if state is S.IDENTITY_PENDING:
        return ledger.open_request("people", ["Ada"], identified=None).id
    if state is S.NO_MATCH:
        return ledger.open_request("people", ["Nobody"]).id
    if state is S.IN_PROGRESS:
        return entombed(ledger)
    request = ledger.open_request("people", ["Ada"]).id
    if state is S.DUPLICATE:
        return ledger.open_request("people", ["Ada"]).id
    if state is S.NEEDS_ATTENTION:
        ledger.need_attention(request, "DeliveryBlocked")
    if state is S.ON_HOLD:
        ledger.hold_request(request, "a case")
    if state is S.DENIED:
        ledger.deny_request(request, DenialReason.CLAIM_NOT_COVERED)
    if state is S.CANCELLED:
        ledger.cancel_request(request)
    if state in (S.COMPLETED, S.COMPLETED_WITH_EXCEPTIONS):
        ledger.append_event(request, "certified", {}, state)
    return request


DONE: dict[Verb, Callable[[Ledger, str], object]] = {
    Verb.IDENTIFY: lambda ledger, request: ledger.identify_request(request, "signed in"),
    Verb.WORK: lambda ledger, request: ledger.require(request, Verb.WORK),
    Verb.APPROVE: lambda ledger, request: ledger.approve(request, "M. Berg", "sha256:plan"),
    Verb.HOLD: lambda ledger, request: ledger.hold_request(request, "a case"),
    Verb.RELEASE: lambda ledger, request: ledger.release_request(request),
    Verb.DENY: lambda ledger, request: ledger.deny_request(request, DenialReason.TOO_MANY_REQUESTS),
    Verb.CANCEL: lambda ledger, request: ledger.cancel_request(request),
}
# Where each verb leads, from every state; None: it is refused. Written out by hand beside the table of the code.
ENDED = (S.DENIED, S.CANCELLED, S.NO_MATCH, S.DUPLICATE, S.COMPLETED, S.COMPLETED_WITH_EXCEPTIONS)
LEADS: dict[tuple[RequestState, Verb], RequestState | None] = {
    **{(state, verb): None for state in ENDED for verb in Verb},
    **{(state, Verb.WORK): state for state in (S.NO_MATCH, S.DUPLICATE, S.COMPLETED, S.COMPLETED_WITH_EXCEPTIONS)},
    (S.IDENTITY_PENDING, Verb.IDENTIFY): S.RECEIVED,
    (S.IDENTITY_PENDING, Verb.WORK): None,
    (S.IDENTITY_PENDING, Verb.APPROVE): None,
    (S.IDENTITY_PENDING, Verb.HOLD): None,
    (S.IDENTITY_PENDING, Verb.RELEASE): None,
    (S.IDENTITY_PENDING, Verb.DENY): S.DENIED,
    (S.IDENTITY_PENDING, Verb.CANCEL): S.CANCELLED,
    (S.ON_HOLD, Verb.IDENTIFY): None,
    (S.ON_HOLD, Verb.WORK): None,
    (S.ON_HOLD, Verb.APPROVE): None,
    (S.ON_HOLD, Verb.HOLD): None,
    (S.ON_HOLD, Verb.RELEASE): S.RECEIVED,
    (S.ON_HOLD, Verb.DENY): S.DENIED,
    (S.ON_HOLD, Verb.CANCEL): S.CANCELLED,
    **{
        (state, verb): leads
        for state in (S.RECEIVED, S.IN_PROGRESS, S.NEEDS_ATTENTION)
        for verb, leads in {
            Verb.IDENTIFY: None,
            Verb.WORK: state,
            Verb.APPROVE: state,
            Verb.HOLD: S.ON_HOLD,
            Verb.RELEASE: None,
            Verb.DENY: None if state is S.IN_PROGRESS else S.DENIED,  # its records are entombed: no return
            Verb.CANCEL: None if state is S.IN_PROGRESS else S.CANCELLED,
        }.items()
    },
}


def test_the_table_names_every_state_and_verb() -> None:
    assert LEADS.keys() == {(state, verb) for state in RequestState for verb in Verb}
    assert ALLOWED.keys() == set(Verb)


@pytest.mark.parametrize("state", RequestState)
@pytest.mark.parametrize("verb", Verb)
def test_every_verb_in_every_state(ledger: Ledger, state: RequestState, verb: Verb) -> None:
    request = in_state(ledger, state)
    assert ledger.get_request(request).state is state
    before, leads = ledger.events(request), LEADS[state, verb]
    if leads is None:
        with pytest.raises(NotReady, match=request):
            DONE[verb](ledger, request)
        assert (ledger.get_request(request).state, ledger.events(request)) == (state, before)
    else:
        DONE[verb](ledger, request)
        assert ledger.get_request(request).state is leads


def test_after_the_point_of_no_return_nothing_is_taken_back_even_from_a_hold(ledger: Ledger) -> None:
    request = entombed(ledger)
    assert ledger.no_return(request) == next(e.at for e in ledger.events(request) if e.kind == "entombed")
    ledger.hold_request(request, "a case")
    with pytest.raises(NotReady, match="point of no return"):
        ledger.cancel_request(request)
    with pytest.raises(NotReady, match="point of no return"):
        ledger.deny_request(request, DenialReason.CLAIM_NOT_COVERED)
    assert ledger.release_request(request).state is S.IN_PROGRESS  # where it stood


def test_attention_and_going_on(ledger: Ledger) -> None:
    early, late = ledger.open_request("people", ["Bo"]).id, entombed(ledger)
    for request, state in ((early, S.RECEIVED), (late, S.IN_PROGRESS)):
        ledger.need_attention(request, "RebuildFailed")
        assert ledger.get_request(request).state is S.NEEDS_ATTENTION
        ledger.go_on(request)
        assert ledger.get_request(request).state is state
    ledger.cancel_request(early)
    ledger.need_attention(early, "RebuildFailed")  # what ended needs nobody
    assert ledger.get_request(early).state is S.CANCELLED


# -- who asks ------------------------------------------------------------------------------------------------------------


def test_until_who_asks_is_identified_nothing_is_told_of_whom_it_finds(ledger: Ledger) -> None:
    """The same request about somebody who is here, and about somebody who is not, are told apart by nothing."""
    here, nowhere = (ledger.open_request("people", [name], identified=None) for name in ("Ada", "Nobody"))
    for request in (here, nowhere):
        assert request.state is S.IDENTITY_PENDING
        assert request.subjects == ()
    details = [[(e.kind, e.detail) for e in ledger.events(request.id)] for request in (here, nowhere)]
    assert details[0] == details[1]
    assert details[0][0][1].keys() == {"searched", "identified", "n_lines"}
    assert (here.datasets, here.due_at[:10]) == (nowhere.datasets, nowhere.due_at[:10])


def test_identified_each_becomes_what_it_is(ledger: Ledger) -> None:
    pending = [
        ledger.open_request("people", names, identified=None).id for names in (["Ada", "Nobody"], ["Nobody"], ["Bo"])
    ]
    first = ledger.open_request("people", ["Bo"])
    assert first.state is S.RECEIVED  # who is not identified makes nobody a duplicate
    found = [ledger.identify_request(request, "signed in") for request in pending]
    assert [one.state for one in found] == [S.RECEIVED, S.NO_MATCH, S.DUPLICATE]
    assert [len(one.subjects) for one in found] == [1, 0, 0]
    outcomes = [next(e.detail for e in ledger.events(r) if e.kind == "identified") for r in pending]
    assert [(o["n_people"], o["no_match"], o["duplicate"], o["duplicate_of"]) for o in outcomes] == [
        (1, 1, 0, []),
        (0, 1, 0, []),
        (0, 0, 1, [first.id]),
    ]
    assert ledger.get_request(pending[0]).scope == {}


def test_who_left_meanwhile_is_nowhere_any_more(ledger: Ledger) -> None:
    pending = ledger.open_request("people", ["Ada"], identified=None).id
    other = ledger.open_request("people", ["Ada"]).id
    ledger.entomb(other)
    ledger.finish_erasure(other)
    assert ledger.identify_request(pending, "signed in").state is S.NO_MATCH


def test_identified_by_nothing_is_not_identified(ledger: Ledger) -> None:
    request = ledger.open_request("people", ["Ada"], identified=None).id
    with pytest.raises(InvalidParameter, match="how who asks was identified"):
        ledger.identify_request(request, " ")
    assert ledger.get_request(request).state is S.IDENTITY_PENDING


# -- the clock while who asks is not known ------------------------------------------------------------------------------

BERLIN = Calendar.of(["2026-12-25", "2026-12-26", "2027-01-01"], "Europe/Berlin")
# Law, whether the project lets the clock stand still, received, identified, due; worked out by hand from the sources that
# `expunge.ledger.lifecycle` and `deadlines` name.
CLOCKS = [
    (Regulation.GDPR, False, "2026-11-02", "2026-11-12", "2026-12-02"),  # a month from receipt, whatever happened since
    (Regulation.GDPR, True, "2026-11-02", "2026-11-02", "2026-12-02"),  # the same day: it stood still for none
    (Regulation.GDPR, True, "2026-11-02", "2026-11-12", "2026-12-14"),  # 10 days on: 12 December is a Saturday
    (Regulation.GDPR, True, "2026-11-02", "2026-11-11", "2026-12-11"),  # 9 days on: Friday
    (Regulation.GDPR, True, "2026-11-30", "2026-12-01", "2026-12-31"),  # a day on from Wednesday 30 December
    (Regulation.GDPR, True, "2026-11-30", "2026-12-02", "2027-01-04"),  # 1 January is a holiday, then a weekend
    (Regulation.GDPR, False, "2026-11-30", "2026-12-20", "2026-12-30"),
    (
        Regulation.UK_GDPR,
        False,
        "2026-11-02",
        "2026-11-12",
        "2026-12-14",
    ),  # begins on the 12th; 12 December is a Saturday
    (Regulation.UK_GDPR, False, "2026-11-02", "2026-11-16", "2026-12-16"),
    (Regulation.UK_GDPR, True, "2026-11-02", "2026-11-16", "2026-12-16"),  # never both
    (Regulation.UK_GDPR, False, "2026-12-01", "2027-01-31", "2027-03-01"),  # no 31 February: the 28th, a Sunday
    (Regulation.CCPA, False, "2026-11-02", "2026-11-12", "2026-12-17"),  # 45 days, regardless
    (Regulation.CCPA, True, "2026-11-02", "2026-12-16", "2026-12-17"),
]


@pytest.mark.parametrize(("law", "pauses", "received", "identified", "due"), CLOCKS)
def test_due_dates_of_requests_whose_asker_had_to_be_identified(
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    law: Regulation,
    pauses: bool,
    received: str,
    identified: str,
    due: str,
) -> None:
    at = datetime.fromisoformat(f"{received}T12:00:00+01:00")
    request = ledger.open_request("people", ["Ada"], at, regulation=law, calendar=BERLIN, identified=None).id
    moment = datetime.fromisoformat(f"{identified}T12:00:00+01:00").astimezone(UTC)
    monkeypatch.setattr("expunge.ledger.event_time.now", lambda: moment)
    monkeypatch.setattr("expunge.ledger.lifecycle.event_time", lambda _: moment.isoformat())
    found = ledger.identify_request(request, "signed in", BERLIN, pauses=pauses)
    assert BERLIN.day_of(datetime.fromisoformat(found.due_at)) == date.fromisoformat(due)


def test_more_time_is_counted_by_the_same_clock(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """UK GDPR, identified on 16 November: three months from then, on 16 February 2027, a Tuesday."""
    at = datetime(2026, 11, 2, 12, tzinfo=UTC)
    request = ledger.open_request("people", ["Ada"], at, regulation=Regulation.UK_GDPR, identified=None).id
    moment = datetime(2026, 11, 16, 12, tzinfo=UTC)
    monkeypatch.setattr("expunge.ledger.lifecycle.event_time", lambda _: moment.isoformat())
    monkeypatch.setattr("expunge.ledger.requests.event_time", lambda _: moment.isoformat())
    ledger.identify_request(request, "signed in")
    assert ledger.extend_request(request, "many systems").due_at[:10] == "2027-02-16"


# -- denied, taken back, held --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", DenialReason)
@pytest.mark.parametrize("law", Regulation)
def test_every_reason_denies_and_is_written_down_with_its_article(
    ledger: Ledger, reason: DenialReason, law: Regulation
) -> None:
    request = ledger.open_request("people", ["Ada"], regulation=law).id
    found = ledger.deny_request(request, reason, "by counsel's opinion")
    assert (found.state, found.state.open) == (S.DENIED, False)
    event = ledger.events(request)[-1]
    assert (event.kind, event.detail["reason"]) == ("denied", reason.value)
    assert (event.detail["article"] == "") == (reason is DenialReason.OTHER)
    assert ("§" in event.detail["article"]) == (law is Regulation.CCPA and reason is not DenialReason.OTHER)


def test_another_reason_has_to_be_said(ledger: Ledger) -> None:
    request = ledger.open_request("people", ["Ada"]).id
    with pytest.raises(InvalidParameter, match="--note"):
        ledger.deny_request(request, DenialReason.OTHER)
    assert ledger.get_request(request).state is S.RECEIVED


def test_who_was_denied_may_ask_again(ledger: Ledger) -> None:
    ledger.deny_request(ledger.open_request("people", ["Ada"]).id, DenialReason.SUSPECTED_FRAUD)
    ledger.cancel_request(ledger.open_request("people", ["Bo"]).id)
    assert ledger.open_request("people", ["Ada", "Bo"]).state is S.RECEIVED


def test_a_hold_needs_a_reason_and_moves_no_due_date(ledger: Ledger) -> None:
    request = ledger.open_request("people", ["Ada"])
    with pytest.raises(InvalidParameter, match="must be kept"):
        ledger.hold_request(request.id, "")
    assert ledger.hold_request(request.id, "a case").due_at == request.due_at
    assert ledger.open_request("people", ["Ada"]).state is S.DUPLICATE  # it is open still


# -- approvals -----------------------------------------------------------------------------------------------------------


def test_people_approve_one_plan_each_once_and_not_their_own_request(ledger: Ledger) -> None:
    request = ledger.open_request("people", ["Ada"], by="M. Berg").id
    with pytest.raises(InvalidParameter, match="somebody else"):
        ledger.approve(request, " m.  berg", "sha256:a")
    with pytest.raises(InvalidParameter, match="say who"):
        ledger.approve(request, " ", "sha256:a")
    for name in ("K. Lund", "k. lund ", "O. Tal"):
        ledger.approve(request, name, "sha256:a")
    assert ledger.approvals(request, "sha256:a") == ("K. Lund", "O. Tal")
    assert ledger.approvals(request, "sha256:b") == ()
