"""Targets: everything that holds or may hold something of a request, what was decided about each, and what came of it.

A name says what a target is: `dataset:people`, `model:churn`, `copy:3`. Until somebody decides otherwise a target is to be
done; that is written down when it is, or when work on it begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidParameter, NotReady
from expunge.ledger.plain import plain_json
from expunge.ledger.requests import append_event, request_row
from expunge.ledger.store import Store
from expunge.ledger.tables import RequestRow, TargetRow


class Decision(StrEnum):
    """What is to become of a target."""

    DO = "do"
    DEFER = "defer"
    EXEMPT = "exempt"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


# What a decision cannot do without, and what else it may say.
_NEEDED = {
    Decision.DO: (),
    Decision.DEFER: ("until",),
    Decision.EXEMPT: ("article", "reason"),
    Decision.REFUSED: ("reason",),
    Decision.UNREACHABLE: ("reason",),
}
_ALLOWED = {
    Decision.DO: (),
    Decision.DEFER: ("until", "reason"),
    Decision.EXEMPT: ("article", "reason", "until"),
    Decision.REFUSED: ("reason",),
    Decision.UNREACHABLE: ("reason", "owner", "until"),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target as it stands. `detail` is what its decision says; `result` what was done, None before that."""

    request: str
    name: str
    decision: Decision = Decision.DO
    detail: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    result: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    @property
    def of(self) -> str:
        """The name of the dataset or model, or the number of the copy."""
        return self.name.partition(":")[2]

    @property
    def done(self) -> bool:
        return self.result is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it for this request: only when all have ended is the person's key destroyed."""
        if self.done or self.decision is Decision.REFUSED:
            return True
        if self.decision is Decision.EXEMPT:
            return "until" not in self.detail
        return self.decision is Decision.UNREACHABLE and {"owner", "until"} <= self.detail.keys()

    @property
    def sentence(self) -> str:
        """Where it stands, in words.

        >>> Target(request="r", name="model:a", decision=Decision.DEFER, detail={"until": "2027-01-31"}).sentence
        'deferred until 2027-01-31'
        """
        if self.done:
            return "done"
        words = {
            Decision.DO: "to be done",
            Decision.DEFER: "deferred",
            Decision.EXEMPT: "exempt",
            Decision.REFUSED: "refused",
            Decision.UNREACHABLE: "not reached",
        }[self.decision]
        until = f" until {self.detail['until']}" if "until" in self.detail else ""
        by = ", ".join(f"{key} {self.detail[key]}" for key in ("article", "owner") if key in self.detail)
        reason = f": {self.detail['reason']}" if "reason" in self.detail else ""
        return f"{words}{until}{f' ({by})' if by else ''}{reason}"


def targets(store: Store, request: str) -> tuple[Target, ...]:
    """Every target of which something is written down, by name. Raises: UnknownName."""
    with store.database.read() as session:
        owner = request_row(session, request)
        rows = select(TargetRow).where(TargetRow.request_id == owner.id).order_by(TargetRow.name)
        return tuple(_target(request, row) for row in session.scalars(rows))


def decide(
    store: Store, request: str, name: str, decision: Decision, detail: Mapping[str, Any] | None = None
) -> Target:
    """Write down what is to become of a target, as an event too. `detail` must not name anybody the request is about.

    Raises: UnknownName; InvalidParameter, for a decision that lacks what it needs; NotReady, once the target is done.
    """
    given = {key: value for key, value in dict(detail or {}).items() if value is not None}
    _check(name, decision, given)
    with store.database.write() as session:
        row = _row(session, request_row(session, request), name)
        if row.result is not None:
            raise NotReady(f"'{name}' is done in {request}; nothing is left to decide about it")
        row.decision, row.detail = decision, plain_json(given)
        append_event(store, request, "decided", {"target": name, "decision": decision.value, **given})
        session.flush()
        return _target(request, row)


def begin_attempt(store: Store, request: str, name: str) -> Target:
    """Write down that work on a target begins anew: the next attempt. Raises: UnknownName; NotReady, once it is done."""
    with store.database.write() as session:
        row = _row(session, request_row(session, request), name)
        if row.result is not None:
            raise NotReady(f"'{name}' is done in {request}")
        row.attempt += 1
        session.flush()
        return _target(request, row)


def finish_target(store: Store, request: str, name: str, result: Mapping[str, Any]) -> Target:
    """Write down what was done. May be repeated: the first result stands. Raises: UnknownName."""
    with store.database.write() as session:
        row = _row(session, request_row(session, request), name)
        if row.result is None:
            row.decision, row.result = Decision.DO, plain_json(result)
        session.flush()
        return _target(request, row)


def reopen_target(store: Store, request: str, name: str) -> Target:
    """A target that was done, or given up, holds something again: it is to be done. Raises: UnknownName."""
    with store.database.write() as session:
        row = _row(session, request_row(session, request), name)
        row.decision, row.detail, row.result = Decision.DO, {}, None
        session.flush()
        return _target(request, row)


def _check(name: str, decision: Decision, given: Mapping[str, Any]) -> None:
    if missing := [key for key in _NEEDED[decision] if not str(given.get(key, "")).strip()]:
        raise InvalidParameter(f"to decide '{decision}' about '{name}' needs --{' and --'.join(missing)}")
    if other := [key for key in given if key not in _ALLOWED[decision]]:
        raise InvalidParameter(f"--{other[0]} says nothing about a target that is to be '{decision}'; leave it out")
    if "until" in given:
        try:
            date.fromisoformat(str(given["until"]))
        except ValueError as e:
            raise InvalidParameter(f"--until {given['until']} is no date; write it as 2027-01-31") from e


def _row(session: Session, owner: RequestRow, name: str) -> TargetRow:
    row = session.get(TargetRow, (owner.id, name))
    if row is None:
        row = TargetRow(request_id=owner.id, name=name, decision=Decision.DO, detail={}, attempt=0, result=None)
        session.add(row)
    return row


def _target(request: str, row: TargetRow) -> Target:
    return Target(
        request=request,
        name=row.name,
        decision=Decision(row.decision),
        detail=row.detail,
        attempt=row.attempt,
        result=row.result,
    )
