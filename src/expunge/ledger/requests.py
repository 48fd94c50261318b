"""Erasure requests: who asked to leave, until when to answer, and everything that happened since."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.ledger.chain import link
from expunge.ledger.clock import iso
from expunge.ledger.datasets import dataset_row, newest_version
from expunge.ledger.deadlines import Calendar, Deadlines, Regulation
from expunge.ledger.event_time import event_time
from expunge.ledger.names import unknown_name
from expunge.ledger.plain import plain_json
from expunge.ledger.store import Store
from expunge.ledger.subjects import Identity, match_people
from expunge.ledger.tables import (
    DatasetRow,
    RequestEventRow,
    RequestRecordRow,
    RequestRow,
    RequestSubjectRow,
    SubjectRow,
)

UTC_DAYS = Calendar()
_AT_ONCE = 1000  # values that one statement names


class RequestState(StrEnum):
    """Where a request stands. Whether it is overdue is computed from `due_at`, not a state."""

    IDENTITY_PENDING = "identity_pending"
    RECEIVED = "received"
    IN_PROGRESS = "in_progress"
    NEEDS_ATTENTION = "needs_attention"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    DENIED = "denied"
    CANCELLED = "cancelled"
    NO_MATCH = "no_match"
    DUPLICATE = "duplicate"

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self in _OPEN


_OPEN = (
    RequestState.IDENTITY_PENDING,
    RequestState.RECEIVED,
    RequestState.IN_PROGRESS,
    RequestState.NEEDS_ATTENTION,
    RequestState.ON_HOLD,
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """An erasure request. `subjects` are opaque references; after the erasure they point at nobody.

    `datasets` are those that hold them, in the order in which they were added; `dataset` is the first. `n_records`: how many
    records it is about by themselves, whoever they are of; then it is about no subject.
    """

    id: str
    kind: str
    datasets: tuple[str, ...]
    state: RequestState
    received_at: str
    due_at: str
    scope: dict[str, Any]
    subjects: tuple[str, ...]
    regulation: Regulation = Regulation.GDPR
    acknowledge_by: str | None = None
    extended: bool = False
    n_records: int = 0

    @property
    def dataset(self) -> str:
        return self.datasets[0]

    @property
    def about_nobody(self) -> bool:
        return not self.subjects and not self.n_records


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a request; numbered from 1, never changed."""

    request: str
    seq: int
    at: str
    kind: str
    detail: dict[str, Any]


def open_request(
    store: Store,
    name: str | None,
    identities: Sequence[Identity],
    received_at: datetime | None = None,
    scope: Mapping[str, Any] | None = None,
    regulation: Regulation = Regulation.GDPR,
    calendar: Calendar = UTC_DAYS,
    *,
    identified: str | None = "operator",
    by: str | None = None,
) -> Request:
    """Record that these people asked to leave, one a line: of one dataset, or (None) of every one that holds them.

    Whoever is nowhere found, and whoever an open request is about already, is counted in the event `received` and stops
    nobody else; where that is everybody, the request ends at once as `no_match` or `duplicate`. Both outcomes are for people
    whose identity was verified, by what `identified` says. Where it is None the request waits for that (`identify_request`): who
    was found is told to nobody, and it makes no other request a duplicate. The clock runs from `received_at` (default: now), by
    the law and the days of the place. `scope` is stored as it is: it must not name anybody. `by`: which operator entered it.

    Raises: EmptyForgetSet, if nobody is named; UnknownName; InvalidParameter, if `received_at` has no time zone.
    """
    with store.database.write() as session:
        searched = _searched(session, name)
        found = match_people(store, session, [row.id for row in searched], identities)
        row = new_request(
            session,
            "erasure",
            searched[0].id,
            RequestState.IDENTITY_PENDING,
            received_at,
            {**(scope or {}), "people": found},
            regulation,
            calendar,
        )
        manifests = {one.name: newest_version(session, one).manifest for one in searched}
        detail = {"searched": manifests, "identified": identified, **({"by": by} if by else {})}
        if identified is None:
            append_event(store, row.public_id, "received", {**detail, "n_lines": len(found)})
        else:
            state, outcome = settle(session, row)
            append_event(store, row.public_id, "received", {**outcome, **detail}, state)
            if state is not RequestState.RECEIVED:
                append_event(store, row.public_id, state.value, {})
        return _request(session, row)


def settle(session: Session, row: RequestRow) -> tuple[RequestState, dict[str, Any]]:
    """Of a request whose people are identified: whom it is about, and what became of the others."""
    found: list[list[str]] = row.scope["people"]
    row.scope = {key: value for key, value in row.scope.items() if key != "people"}
    known = _live(session, sorted({ref for person in found for ref in person}))
    found = [
        [ref for ref in person if ref in known] for person in found
    ]  # others may have left since they were looked for
    waiting = _waiting(session)
    new = [person for person in found if person and not waiting.keys() & set(person)]
    others = sorted({waiting[ref] for person in found for ref in person if ref in waiting})
    subjects = [known[ref] for ref in dict.fromkeys(ref for person in new for ref in person)]
    session.add_all(RequestSubjectRow(request_id=row.id, subject_id=subject.id) for subject in subjects)
    row.dataset_id = min((subject.dataset_id for subject in subjects), default=row.dataset_id)
    session.flush()
    state = RequestState.RECEIVED
    if not subjects:
        state = RequestState.DUPLICATE if others else RequestState.NO_MATCH
    return state, {
        "n_subjects": len(subjects),
        "n_people": len({tuple(person) for person in new}),
        "no_match": sum(not person for person in found),
        "duplicate": sum(bool(person) and bool(waiting.keys() & set(person)) for person in found),
        "duplicate_of": others,
    }


def new_request(
    session: Session,
    kind: str,
    dataset_id: int,
    state: RequestState,
    received_at: datetime | None,
    scope: Mapping[str, Any] | None,
    regulation: Regulation,
    calendar: Calendar,
) -> RequestRow:
    """The row of a request under a new name, its clock running. Raises: InvalidParameter, for a time without a zone."""
    received = received_at or datetime.fromisoformat(event_time(session))
    received_iso = iso(received)  # refuses a time without a zone
    deadlines = Deadlines(calendar.day_of(received), regulation, calendar)
    by = deadlines.acknowledge_by
    row = RequestRow(
        public_id=f"req-{secrets.token_hex(5)}",
        kind=kind,
        dataset_id=dataset_id,
        state=state,
        received_at=received_iso,
        due_at=iso(calendar.end_of(deadlines.due)),
        scope=plain_json(scope),
        regulation=regulation,
        acknowledge_by=None if by is None else iso(calendar.end_of(by)),
    )
    session.add(row)
    session.flush()
    return row


def extend_request(store: Store, request: str, reason: str, calendar: Calendar = UTC_DAYS) -> Request:
    """Take the further time that the law gives, once. The person must be told of it, with the reason, within the first period.

    Raises: UnknownName; NotReady, if the request has ended; InvalidParameter, without a reason, or where it is too late.
    """
    if not reason.strip():
        raise InvalidParameter("more time needs a reason, which the person is told")
    with store.database.write() as session:
        row = request_row(session, request)
        if not RequestState(row.state).open:
            raise NotReady(f"{request} has ended ({row.state}); it needs no more time")
        deadlines = deadlines_of(session, row, calendar)
        deadlines.check_extension(calendar.day_of(datetime.fromisoformat(event_time(session))))
        row.extended, row.due_at = True, iso(calendar.end_of(deadlines.latest))
        append_event(store, request, "extended", {"reason": reason, "due_at": row.due_at})
        return _request(session, row)


def deadlines_of(session: Session, row: RequestRow, calendar: Calendar) -> Deadlines:
    """The days of a request, as its law counts them: from its receipt, or as the event `identified` says."""
    clock: dict[str, Any] = {}
    for event in session.scalars(
        select(RequestEventRow).where(RequestEventRow.request_id == row.id, RequestEventRow.kind == "identified")
    ):
        clock = event.detail["clock"]
    since = (
        date.fromisoformat(clock["since"])
        if "since" in clock
        else calendar.day_of(datetime.fromisoformat(row.received_at))
    )
    pauses = tuple((date.fromisoformat(a), date.fromisoformat(b)) for a, b in clock.get("pauses", ()))
    return Deadlines(since, Regulation(row.regulation), calendar, extended=row.extended, pauses=pauses)


def _live(session: Session, refs: Sequence[str]) -> dict[str, SubjectRow]:
    found: dict[str, SubjectRow] = {}
    for k in range(0, len(refs), _AT_ONCE):
        live = select(SubjectRow).where(SubjectRow.ref.in_(refs[k : k + _AT_ONCE]), SubjectRow.state == "live")
        found |= {subject.ref: subject for subject in session.scalars(live)}
    return found


def _searched(session: Session, name: str | None) -> list[DatasetRow]:
    if name is not None:
        return [dataset_row(session, name)]
    rows = list(session.scalars(select(DatasetRow).order_by(DatasetRow.id)))
    if not rows:
        raise UnknownName("there is no dataset to look for people in; add one with `expunge data add`")
    return rows


def _waiting(session: Session) -> dict[str, str]:
    """Of everybody an open request is about: which one, by reference. Who is not identified yet makes nobody a duplicate."""
    about = (
        select(SubjectRow.ref, RequestRow.public_id)
        .join(RequestSubjectRow, RequestSubjectRow.subject_id == SubjectRow.id)
        .join(RequestRow, RequestRow.id == RequestSubjectRow.request_id)
        .where(SubjectRow.state == "live", RequestRow.state.in_(_OPEN))
        .order_by(RequestRow.id.desc())
    )
    return dict(session.execute(about).tuples().all())


def append_event(
    store: Store,
    request: str,
    kind: str,
    detail: Mapping[str, Any] | None = None,
    state: RequestState | None = None,
) -> Event:
    """Add an event to the chain, and move the request to `state` in the same transaction. `detail` must not name anybody.

    Raises: UnknownName.
    """
    with store.database.write() as session:
        row = request_row(session, request)
        last = session.scalar(select(func.max(RequestEventRow.seq)).where(RequestEventRow.request_id == row.id))
        event = RequestEventRow(
            request_id=row.id, seq=(last or 0) + 1, at=event_time(session), kind=kind, detail=plain_json(detail)
        )
        link(session, event, request)
        session.add(event)
        if state is not None:
            row.state = state
        session.flush()
        return _event(request, event)


def get_request(store: Store, request: str) -> Request:
    """A request by its public id. Raises: UnknownName."""
    with store.database.read() as session:
        return _request(session, request_row(session, request))


def requests(store: Store) -> tuple[Request, ...]:
    """Every request, the one due first at the front."""
    with store.database.read() as session:
        rows = session.scalars(select(RequestRow).order_by(RequestRow.due_at, RequestRow.id))
        return tuple(_request(session, row) for row in rows)


def events(store: Store, request: str) -> tuple[Event, ...]:
    """Everything that happened to a request, in order. Raises: UnknownName."""
    with store.database.read() as session:
        row = request_row(session, request)
        found = select(RequestEventRow).where(RequestEventRow.request_id == row.id).order_by(RequestEventRow.seq)
        return tuple(_event(request, event) for event in session.scalars(found))


def request_row(session: Session, request: str) -> RequestRow:
    """The row of a request. Raises: UnknownName."""
    row = session.scalar(select(RequestRow).where(RequestRow.public_id == request))
    if row is None:
        raise unknown_name("request", request, session.scalars(select(RequestRow.public_id)))
    return row


def subject_rows(session: Session, row: RequestRow) -> list[SubjectRow]:
    """Whom a request is about."""
    about = select(SubjectRow).join(RequestSubjectRow, RequestSubjectRow.subject_id == SubjectRow.id)
    return list(session.scalars(about.where(RequestSubjectRow.request_id == row.id).order_by(SubjectRow.id)))


def request_records(session: Session, row: RequestRow) -> set[bytes]:
    """The commitments of the records that a request is about by themselves."""
    about = select(RequestRecordRow.commitment).where(RequestRecordRow.request_id == row.id)
    return set(session.scalars(about))


def live_subjects(store: Store, request: str) -> tuple[str, ...]:
    """Those of a request's people whose keys still are. Raises: UnknownName."""
    with store.database.read() as session:
        return tuple(row.ref for row in subject_rows(session, request_row(session, request)) if row.state == "live")


def dataset_rows(session: Session, row: RequestRow) -> list[DatasetRow]:
    """The datasets that a request's people are in; of a request about nobody the first that was searched."""
    ids = {subject.dataset_id for subject in subject_rows(session, row)} or {row.dataset_id}
    return list(session.scalars(select(DatasetRow).where(DatasetRow.id.in_(ids)).order_by(DatasetRow.id)))


def _request(session: Session, row: RequestRow) -> Request:
    return Request(
        id=row.public_id,
        kind=row.kind,
        datasets=tuple(dataset.name for dataset in dataset_rows(session, row)),
        state=RequestState(row.state),
        received_at=row.received_at,
        due_at=row.due_at,
        scope=row.scope,
        subjects=tuple(subject.ref for subject in subject_rows(session, row)),
        regulation=Regulation(row.regulation),
        acknowledge_by=row.acknowledge_by,
        extended=row.extended,
        n_records=len(request_records(session, row)),
    )


def _event(request: str, row: RequestEventRow) -> Event:
    return Event(request=request, seq=row.seq, at=row.at, kind=row.kind, detail=row.detail)
