"""The life of a request: what may be done to it in which state, and what becomes of it then.

    identity pending ─▶ received ─▶ in progress ─▶ completed | completed with exceptions
                           │  ▲          │  ▲
                           ▼  │          ▼  │
                    on hold, needs attention          denied · cancelled · no match · duplicate

Whom a request is about is told to nobody until who asks is identified; then those found nowhere are `no_match`, and those that
another request is about `duplicate`. The point of no return is the moment at which records are entombed: nothing trains on them
again, whatever is decided later, so from there on a request is neither denied nor withdrawn. A legal hold keeps everything as it
is for as long as it stands, at whatever point, and no clock waits for it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidParameter, NotReady
from expunge.ledger.clock import iso
from expunge.ledger.deadlines import Calendar, Regulation
from expunge.ledger.event_time import event_time
from expunge.ledger.requests import (
    UTC_DAYS,
    Request,
    RequestState,
    append_event,
    deadlines_of,
    events,
    get_request,
    request_row,
    settle,
)
from expunge.ledger.store import Store
from expunge.ledger.tables import RequestEventRow, RequestRow

NO_RETURN = "entombed"  # the event from which on nothing can be taken back


class Verb(StrEnum):
    """What is done to a request."""

    IDENTIFY = "identify"
    WORK = "work"  # forget, verify, deliver, destroy, certify
    APPROVE = "approve"
    HOLD = "hold"
    RELEASE = "release"
    DENY = "deny"
    CANCEL = "cancel"


_GOING = frozenset({RequestState.RECEIVED, RequestState.IN_PROGRESS, RequestState.NEEDS_ATTENTION})
_ENDED = frozenset(state for state in RequestState if not state.open)
# What was done once may be asked for again after a request has ended, and is found done.
_DONE = _ENDED - {RequestState.DENIED, RequestState.CANCELLED}
ALLOWED: dict[Verb, frozenset[RequestState]] = {
    Verb.IDENTIFY: frozenset({RequestState.IDENTITY_PENDING}),
    Verb.WORK: _GOING | _DONE,
    Verb.APPROVE: _GOING,
    Verb.HOLD: _GOING,
    Verb.RELEASE: frozenset({RequestState.ON_HOLD}),
    Verb.DENY: _GOING | {RequestState.IDENTITY_PENDING, RequestState.ON_HOLD},
    Verb.CANCEL: _GOING | {RequestState.IDENTITY_PENDING, RequestState.ON_HOLD},
}
_TAKEN_BACK = (Verb.DENY, Verb.CANCEL)


class DenialReason(StrEnum):
    """Why a request is refused as a whole; the names are those of the Data Rights Protocol 1.0."""

    SUSPECTED_FRAUD = "suspected_fraud"
    INSUFFICIENT_VERIFICATION = "insuf_verification"
    CLAIM_NOT_COVERED = "claim_not_covered"
    OUTSIDE_JURISDICTION = "outside_jurisdiction"
    TOO_MANY_REQUESTS = "too_many_requests"
    OTHER = "other"

    @property
    def sentence(self) -> str:
        """What the person is told, without the law's article."""
        return {
            DenialReason.SUSPECTED_FRAUD: "There are reasonable doubts that who asks is the person whom it is about.",
            DenialReason.INSUFFICIENT_VERIFICATION: "Who asks could not be identified.",
            DenialReason.CLAIM_NOT_COVERED: "The law gives no right to erasure here, or an exception to it applies.",
            DenialReason.OUTSIDE_JURISDICTION: "The law that the request is made under does not apply.",
            DenialReason.TOO_MANY_REQUESTS: "The request is manifestly unfounded or excessive, as by its repetition.",
            DenialReason.OTHER: "The request was refused for the reason that is noted.",
        }[self]

    def article(self, law: Regulation) -> str:
        """Where a law provides for it; empty for `other`, which the note must say.

        >>> DenialReason.TOO_MANY_REQUESTS.article(Regulation.GDPR)
        'Art. 12(5)(b)'
        """
        gdpr, ccpa = {
            DenialReason.SUSPECTED_FRAUD: ("Art. 12(6)", "11 CCR § 7060"),
            DenialReason.INSUFFICIENT_VERIFICATION: ("Art. 12(2) and 12(6)", "11 CCR § 7022(a)"),
            DenialReason.CLAIM_NOT_COVERED: ("Art. 17(1) and 17(3)", "Cal. Civ. Code § 1798.105(d)"),
            DenialReason.OUTSIDE_JURISDICTION: ("Art. 3", "Cal. Civ. Code § 1798.140"),
            DenialReason.TOO_MANY_REQUESTS: ("Art. 12(5)(b)", "Cal. Civ. Code § 1798.145(h)(3)"),
            DenialReason.OTHER: ("", ""),
        }[self]
        return gdpr if law.months else ccpa


def require(store: Store, request: str, verb: Verb) -> Request:
    """The request, if this may be done to it now. Raises: UnknownName; NotReady, which says what stands and what to do."""
    with store.database.read() as session:
        row = request_row(session, request)
        state = RequestState(row.state)
        if state not in ALLOWED[verb]:
            raise NotReady(_why_not(session, row, state, verb))
        if verb in _TAKEN_BACK and (since := _no_return(session, row)):
            raise NotReady(
                f"{request} passed the point of no return at {since}: its records are entombed, and nothing trains on them again. "
                "Go on with it, or decide about each target with `expunge decide`"
            )
        return get_request(store, request)


def no_return(store: Store, request: str) -> str | None:
    """When a request passed the point of no return; None before that. Raises: UnknownName."""
    with store.database.read() as session:
        return _no_return(session, request_row(session, request))


def identify_request(
    store: Store, request: str, method: str, calendar: Calendar = UTC_DAYS, *, pauses: bool = False
) -> Request:
    """Who asks is identified, by what `method` says. Only now is it told who was found, and who is asked for already.

    The clock: under UK GDPR the period begins with this day (Data (Use and Access) Act 2025, s. 76). Under GDPR it stood still
    since the request, where the project's counsel takes that view (`pauses`); the text of Art. 12 does not say so. Under CCPA it
    runs regardless (11 CCR § 7021(b)).

    Raises: UnknownName; NotReady; InvalidParameter, without a method.
    """
    _needed(method, "how who asks was identified")
    with store.database.write() as session:
        require(store, request, Verb.IDENTIFY)
        row = request_row(session, request)
        state, outcome = settle(session, row)
        received = calendar.day_of(datetime.fromisoformat(row.received_at))
        today = max(received, calendar.day_of(datetime.fromisoformat(event_time(session))))
        clock: dict[str, Any] = {}
        if row.regulation == Regulation.UK_GDPR:
            clock = {"since": today.isoformat()}
        elif row.regulation == Regulation.GDPR and pauses:
            clock = {"pauses": [[received.isoformat(), today.isoformat()]]}
        append_event(store, request, "identified", {**outcome, "method": method, "clock": clock}, state)
        row.due_at = iso(calendar.end_of(deadlines_of(session, row, calendar).due))
        if state is not RequestState.RECEIVED:
            append_event(store, request, state.value, {})
        session.flush()
        return get_request(store, request)


def deny_request(store: Store, request: str, reason: DenialReason, note: str = "") -> Request:
    """Refuse a request as a whole. The person must be told why, and of their remedies, within the first period.

    Raises: UnknownName; NotReady, after the point of no return too; InvalidParameter, where a reason needs a note.
    """
    if reason is DenialReason.OTHER:
        _needed(note, "why it is denied, with the law's provision (--note)")
    with store.database.write():
        found = require(store, request, Verb.DENY)
        detail = {"reason": reason.value, "article": reason.article(found.regulation), "note": note}
        append_event(store, request, "denied", detail, RequestState.DENIED)
        return get_request(store, request)


def cancel_request(store: Store, request: str, note: str = "") -> Request:
    """Who asked took the request back. Raises: UnknownName; NotReady, after the point of no return too."""
    with store.database.write():
        require(store, request, Verb.CANCEL)
        append_event(store, request, "cancelled", {"note": note}, RequestState.CANCELLED)
        return get_request(store, request)


def hold_request(store: Store, request: str, reason: str) -> Request:
    """A legal hold: what the request is about must be kept for now, and is.

    Raises: UnknownName; NotReady; InvalidParameter, without a reason.
    """
    _needed(reason, "why what it is about must be kept, such as the case that it is evidence in")
    with store.database.write():
        state = require(store, request, Verb.HOLD).state
        append_event(store, request, "held", {"reason": reason, "state": state.value}, RequestState.ON_HOLD)
        return get_request(store, request)


def release_request(store: Store, request: str) -> Request:
    """A legal hold ends; the request goes on from where it stood. Raises: UnknownName; NotReady, where there is none."""
    with store.database.write():
        require(store, request, Verb.RELEASE)
        held = [event.detail for event in events(store, request) if event.kind == "held"]
        append_event(store, request, "released", {}, RequestState(held[-1]["state"]))
        return get_request(store, request)


def need_attention(store: Store, request: str, fault: str) -> None:
    """Something stopped a step that a person must look at: `fault` is the name of the error, which names nobody."""
    with store.database.write():
        if get_request(store, request).state in _GOING:
            append_event(store, request, "needs_attention", {"fault": fault}, RequestState.NEEDS_ATTENTION)


def go_on(store: Store, request: str) -> None:
    """Somebody looked, and work goes on."""
    with store.database.write() as session:
        row = request_row(session, request)
        if row.state == RequestState.NEEDS_ATTENTION:
            state = RequestState.IN_PROGRESS if _no_return(session, row) else RequestState.RECEIVED
            append_event(store, request, "resumed", {}, state)


def _no_return(session: Session, row: RequestRow) -> str | None:
    first = select(func.min(RequestEventRow.at)).where(
        RequestEventRow.request_id == row.id, RequestEventRow.kind == NO_RETURN
    )
    return session.scalar(first)


def _needed(text: str, what: str) -> None:
    if not text.strip():
        raise InvalidParameter(f"say {what}, without naming the person")


def _why_not(session: Session, row: RequestRow, state: RequestState, verb: Verb) -> str:
    request = row.public_id
    if state is RequestState.IDENTITY_PENDING:
        return (
            f"{request} waits for who asks to be identified, and nothing is told of it until then: `expunge identity {request} "
            "verified --method …`, or `failed`"
        )
    if state is RequestState.ON_HOLD and verb is not Verb.HOLD:
        return f"{request} is under a legal hold, and what it is about stays as it is: `expunge release {request}` ends that"
    if state in _ENDED:
        return f"{request} has ended: {state.value.replace('_', ' ')}; see `expunge status {request}`"
    known = {
        Verb.IDENTIFY: "is identified already",
        Verb.RELEASE: "is under no legal hold",
        Verb.HOLD: "is under a legal hold already",
    }
    return f"{request} {known[verb]}; see `expunge status {request}`"
