"""The steps of a request, so that a stopped command resumes: a step that is done is never done again.

A step is claimed with a lease. Whoever claims it later gets a larger token, and an earlier holder that wakes
up can no longer finish it. Put the step's effect and `finish_step` into one `transaction()`, and both happen
or neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from expunge.core.errors import ProjectLocked
from expunge.ledger.clock import iso, now
from expunge.ledger.plain import plain_json
from expunge.ledger.requests import request_row
from expunge.ledger.store import Store
from expunge.ledger.tables import RequestRow, StepRow

LEASE_S = 300.0


class StepState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: who holds it, and what came of it."""

    request: str
    name: str
    state: StepState
    token: int
    leased_until: str
    heartbeat_at: str
    result: dict[str, Any] | None


def step(store: Store, request: str, name: str) -> Step | None:
    """A step, if it was ever claimed. Raises: UnknownName, if there is no such request."""
    with store.database.read() as session:
        row = session.get(StepRow, (request_row(session, request).id, name))
        return None if row is None else _step(request, row)


def steps(store: Store, request: str) -> tuple[Step, ...]:
    """Every step of a request that was ever claimed, by name. Raises: UnknownName."""
    with store.database.read() as session:
        owner = request_row(session, request)
        rows = session.scalars(select(StepRow).where(StepRow.request_id == owner.id).order_by(StepRow.name))
        return tuple(_step(request, row) for row in rows)


def claim_step(store: Store, request: str, name: str, *, lease_s: float = LEASE_S, take_over: bool = False) -> Step:
    """Begin a step, or return it with its result if it is done: look at `state`.

    `take_over` ends another's lease: only for who knows, by a lock of its own, that no other process runs.

    Raises: UnknownName; ProjectLocked, while another holds the step.
    """
    with store.database.write() as session:
        owner = request_row(session, request)
        row = session.get(StepRow, (owner.id, name))
        moment = now()
        if row is None:
            row = StepRow(request_id=owner.id, name=name, token=0)
            session.add(row)
        elif row.state == StepState.DONE:
            return _step(request, row)
        elif row.state == StepState.RUNNING and row.leased_until > iso(moment) and not take_over:
            raise ProjectLocked(
                f"step '{name}' of {request} is held by another process until {row.leased_until}; "
                "wait for it, or repeat the command after that time"
            )
        row.state, row.result = StepState.RUNNING, None
        row.token += 1
        row.heartbeat_at, row.leased_until = iso(moment), iso(moment + timedelta(seconds=lease_s))
        session.flush()
        return _step(request, row)


def heartbeat_step(store: Store, held: Step, *, lease_s: float = LEASE_S) -> Step:
    """Prolong the lease. Raises: ProjectLocked, if the step was taken over meanwhile."""
    with store.database.write() as session:
        row, moment = _held(session, held), now()
        row.heartbeat_at, row.leased_until = iso(moment), iso(moment + timedelta(seconds=lease_s))
        session.flush()
        return _step(held.request, row)


def beat_step(store: Store, held: Step, *, lease_s: float = LEASE_S) -> bool:
    """Prolong the lease from another thread, beside whatever the holder writes; False, if the step was taken over or ended.

    It changes no more than this row and is no write that the project counts.
    """
    moment = now()
    owner = select(RequestRow.id).where(RequestRow.public_id == held.request).scalar_subquery()
    beat = (
        update(StepRow)
        .where(StepRow.request_id == owner, StepRow.name == held.name)
        .where(StepRow.token == held.token, StepRow.state == StepState.RUNNING)
        .values(heartbeat_at=iso(moment), leased_until=iso(moment + timedelta(seconds=lease_s)))
        .returning(StepRow.token)
    )
    with Session(store.database.engine) as session, session.begin():
        return session.scalar(beat) is not None


def finish_step(store: Store, held: Step, result: Mapping[str, Any]) -> Step:
    """Record the result. Raises: ProjectLocked, if the step was taken over: then nothing is recorded."""
    return _end(store, held, StepState.DONE, result)


def fail_step(store: Store, held: Step, result: Mapping[str, Any]) -> Step:
    """Record why a step failed; it can be claimed again. Raises: ProjectLocked, as `finish_step`."""
    return _end(store, held, StepState.FAILED, result)


def drop_step(store: Store, held: Step) -> None:
    """Leave a step that did nothing as if it had never been claimed. One that was taken over meanwhile is another's."""
    with store.database.write() as session:
        row = session.get(StepRow, (request_row(session, held.request).id, held.name))
        if row is not None and row.token == held.token and row.state == StepState.RUNNING:
            session.delete(row)


def _end(store: Store, held: Step, state: StepState, result: Mapping[str, Any]) -> Step:
    with store.database.write() as session:
        row = _held(session, held)
        row.state, row.result, row.heartbeat_at = state, plain_json(result), iso(now())
        session.flush()
        return _step(held.request, row)


def _held(session: Session, held: Step) -> StepRow:
    row = session.get_one(StepRow, (request_row(session, held.request).id, held.name))
    if row.token != held.token or row.state != StepState.RUNNING:
        raise ProjectLocked(
            f"step '{held.name}' of {held.request} was taken over or ended by another process "
            f"(token {row.token}, this one holds {held.token}); its result stands, "
            "repeat the command to go on from there"
        )
    return row


def _step(request: str, row: StepRow) -> Step:
    return Step(
        request=request,
        name=row.name,
        state=StepState(row.state),
        token=row.token,
        leased_until=row.leased_until,
        heartbeat_at=row.heartbeat_at,
        result=row.result,
    )
