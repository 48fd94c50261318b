"""Where else a model version lives. A copy that cannot be reached is named, never forgotten."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidParameter
from expunge.ledger.models import version_row
from expunge.ledger.names import unknown_name
from expunge.ledger.store import Store
from expunge.ledger.tables import CopyRow


class CopyState(StrEnum):
    """A copy that was asked to go is `purged`, or `unreachable` where nobody can tell."""

    PRESENT = "present"
    PURGED = "purged"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A registered place of a model version: a path, a hub revision, a registry URI.

    `owner` deals with it `until` a day where nothing here can; `reason` says why it was not reached; `declared` is the evidence
    on which somebody declared it gone.
    """

    id: int
    model: str
    version: str
    uri: str
    kind: str
    reachable: bool
    state: CopyState
    owner: str | None = None
    until: str | None = None
    reason: str | None = None
    declared: str | None = None


def register_copy(
    store: Store,
    model: str,
    version: str,
    uri: str,
    *,
    kind: str,
    reachable: bool = True,
    owner: str | None = None,
    until: str | None = None,
) -> Copy:
    """Record that a version also lives at `uri`; registering a place again makes it present again.

    Raises: UnknownName; InvalidParameter, if the place is empty.
    """
    if not uri.strip():
        raise InvalidParameter("a copy needs a place; give its path or address")
    with store.database.write() as session:
        version_id = version_row(session, model, version).id
        row = _copy_row(session, version_id, uri)
        if row is None:
            row = CopyRow(version_id=version_id, uri=uri, kind=kind, reachable=reachable, state=CopyState.PRESENT)
            session.add(row)
        row.kind, row.reachable, row.state = kind, reachable, CopyState.PRESENT
        row.owner, row.until, row.reason, row.declared = owner, until, None, None
        session.flush()
        return _copy(model, version, row)


def mark_copy(
    store: Store,
    model: str,
    version: str,
    uri: str,
    state: CopyState,
    *,
    reason: str | None = None,
    declared: str | None = None,
) -> Copy:
    """Record what became of a copy, and why it was not reached or on what evidence it is declared gone. Raises: UnknownName."""
    with store.database.write() as session:
        owner = version_row(session, model, version)
        row = _copy_row(session, owner.id, uri)
        if row is None:
            known = session.scalars(select(CopyRow.uri).where(CopyRow.version_id == owner.id))
            raise unknown_name(f"copy of a version of '{model}' at", uri, known)
        row.state, row.reason, row.declared = state, reason, declared
        if state is CopyState.UNREACHABLE:
            row.reachable = False
        session.flush()
        return _copy(model, version, row)


def copies(store: Store, model: str, version: str) -> tuple[Copy, ...]:
    """Every registered copy of a version, whatever became of it. Raises: UnknownName."""
    with store.database.read() as session:
        owner = version_row(session, model, version)
        rows = session.scalars(select(CopyRow).where(CopyRow.version_id == owner.id).order_by(CopyRow.id))
        return tuple(_copy(model, version, row) for row in rows)


def _copy_row(session: Session, version_id: int, uri: str) -> CopyRow | None:
    return session.scalar(select(CopyRow).where(CopyRow.version_id == version_id, CopyRow.uri == uri))


def _copy(model: str, version: str, row: CopyRow) -> Copy:
    return Copy(
        id=row.id,
        model=model,
        version=version,
        uri=row.uri,
        kind=row.kind,
        reachable=row.reachable,
        state=CopyState(row.state),
        owner=row.owner,
        until=row.until,
        reason=row.reason,
        declared=row.declared,
    )
