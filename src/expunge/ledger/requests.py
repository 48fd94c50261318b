"""Erasure requests: who asked to leave, until when to answer, and everything that happened since."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.ledger.clock import due_at, iso
from expunge.ledger.datasets import dataset_row
from expunge.ledger.event_time import event_time
from expunge.ledger.names import unknown_name
from expunge.ledger.plain import plain_json
from expunge.ledger.store import Store
from expunge.ledger.subjects import find_subjects
from expunge.ledger.tables import DatasetRow, RequestEventRow, RequestRow, RequestSubjectRow, SubjectRow


class RequestState(StrEnum):
    """Where a request stands. Whether it is overdue is computed from `due_at`, not a state."""

    RECEIVED = "received"
    IN_PROGRESS = "in_progress"
    NEEDS_ATTENTION = "needs_attention"
    COMPLETED = "completed"
    COMPLETED_WITH_EXCEPTIONS = "completed_with_exceptions"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Request:
    """An erasure request. `subjects` are opaque references; after the erasure they point at nobody."""

    id: str
    kind: str
    dataset: str
    state: RequestState
    received_at: str
    due_at: str
    scope: dict[str, Any]
    subjects: tuple[str, ...]


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
    name: str,
    identities: Sequence[str],
    received_at: datetime | None = None,
    scope: Mapping[str, Any] | None = None,
) -> Request:
    """Record that these people of a dataset asked to leave. The clock runs from `received_at` (default: now).

    `scope` is stored as it is: it must not name anybody.

    Raises: EmptyForgetSet, UnknownName, UnknownSubject; InvalidParameter, if `received_at` has no time zone.
    """
    if received_at is not None:
        iso(received_at)  # refuses a time without a zone
    with store.database.write() as session:
        received = received_at or datetime.fromisoformat(event_time(session))
        refs = list(dict.fromkeys(find_subjects(store, name, identities).values()))
        row = RequestRow(
            public_id=f"req-{secrets.token_hex(5)}",
            kind="erasure",
            dataset_id=dataset_row(session, name).id,
            state=RequestState.RECEIVED,
            received_at=iso(received),
            due_at=due_at(received),
            scope=plain_json(scope),
        )
        session.add(row)
        session.flush()
        for ref in refs:
            subject_id = session.scalars(select(SubjectRow.id).where(SubjectRow.ref == ref)).one()
            session.add(RequestSubjectRow(request_id=row.id, subject_id=subject_id))
        session.flush()
        append_event(store, row.public_id, "received", {"n_subjects": len(refs)})
        return _request(session, row)


def append_event(
    store: Store,
    request: str,
    kind: str,
    detail: Mapping[str, Any] | None = None,
    state: RequestState | None = None,
) -> Event:
    """Add an event, and move the request to `state` in the same transaction. `detail` must not name anybody.

    Raises: UnknownName.
    """
    with store.database.write() as session:
        row = request_row(session, request)
        last = session.scalar(select(func.max(RequestEventRow.seq)).where(RequestEventRow.request_id == row.id))
        event = RequestEventRow(
            request_id=row.id, seq=(last or 0) + 1, at=event_time(session), kind=kind, detail=plain_json(detail)
        )
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


def _request(session: Session, row: RequestRow) -> Request:
    return Request(
        id=row.public_id,
        kind=row.kind,
        dataset=session.get_one(DatasetRow, row.dataset_id).name,
        state=RequestState(row.state),
        received_at=row.received_at,
        due_at=row.due_at,
        scope=row.scope,
        subjects=tuple(subject.ref for subject in subject_rows(session, row)),
    )


def _event(request: str, row: RequestEventRow) -> Event:
    return Event(request=request, seq=row.seq, at=row.at, kind=row.kind, detail=row.detail)
