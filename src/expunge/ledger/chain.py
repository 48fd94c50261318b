"""Events as a chain: each carries the digest of the one before it, over the whole project.

So an event that was changed, removed or inserted afterwards is found, and a certificate that binds the chain's head binds
all that happened before it. Events from before the chain began (schemas of 0.1) are bound as they were found at that moment.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from expunge.core.digests import digest_bytes
from expunge.core.errors import InvalidData
from expunge.ledger.clock import iso, now
from expunge.ledger.store import Store
from expunge.ledger.tables import EventChainRow, RequestEventRow, RequestRow

TRIGGERS = tuple(
    f"{table}_no_{verb}" for table in ("request_event", "tombstone") for verb in ("update", "delete", "replace")
)
_RESTORE = "restore ledger.db from a backup of the newest certificate or later"


@dataclass(frozen=True, kw_only=True)
class Head:
    """How many events are chained, the digest of the last, and since when; None: from the ledger's beginning."""

    count: int
    digest: str
    since: str | None


def begin_chain(store: Store) -> None:
    """Let the chain begin, unless it has.

    Raises: InvalidData, where events are chained and their head is gone.
    """
    with store.database.read() as session:
        if session.get(EventChainRow, 1) is not None:
            return
    with store.database.write() as session:
        if session.get(EventChainRow, 1) is not None:
            return
        if session.scalar(select(func.max(RequestEventRow.position))):
            raise InvalidData(f"events are chained and the head of their chain is gone; {_RESTORE}")
        since = iso(now()) if session.scalar(select(func.count()).select_from(RequestEventRow)) else None
        session.add(EventChainRow(id=1, since=since, count=0, digest=_of_those_before(session)))


def link(session: Session, event: RequestEventRow, request: str) -> None:
    """Make an event, not yet stored, the chain's last. Inside the transaction that stores it."""
    chain = session.get_one(EventChainRow, 1)
    event.position, event.previous = chain.count + 1, chain.digest
    chain.count, chain.digest = event.position, _digest(event, request)


def check_events(store: Store, anchors: Mapping[int, str] | None = None) -> Head:
    """Follow the whole chain.

    1. The triggers that refuse to change evidence are there.
    2. The events from before the chain are those that it began with.
    3. Every event carries the digest of the one before it, and none is missing.
    4. The chain had, at so many events, the digests of `anchors`, which certificates bind.
    5. The last event is the chain's head.

    Raises: InvalidData, naming the first event after which something is not as it was written.
    """
    bound = dict(anchors or {})
    with store.database.read() as session:
        _check_triggers(session)  # 1
        chain = session.get(EventChainRow, 1)
        if chain is None:
            raise InvalidData(f"the events' chain is gone from the ledger; {_RESTORE}")
        count, digest = 0, _of_those_before(session)
        chained = (
            select(RequestEventRow, RequestRow.public_id)
            .join(RequestRow, RequestRow.id == RequestEventRow.request_id)
            .where(RequestEventRow.position.is_not(None))
            .order_by(RequestEventRow.position)
        )
        for event, request in session.execute(chained).tuples():
            if (event.position, event.previous) != (count + 1, digest):  # 2, 3
                raise InvalidData(
                    f"event {event.position} of the ledger does not follow what is recorded before it: an event was changed, "
                    f"removed or inserted there; {_RESTORE}"
                )
            count, digest = count + 1, _digest(event, request)
            if bound.pop(count, digest) != digest:  # 4
                raise InvalidData(
                    f"a certificate binds another story than the ledger's, up to event {count}; {_RESTORE}"
                )
        if bound:
            raise InvalidData(f"a certificate binds {max(bound)} events, and the ledger holds {count}; {_RESTORE}")
        if (count, digest) != (chain.count, chain.digest):  # 5
            raise InvalidData(
                f"the ledger has written {chain.count} events and holds another end after event {count}: one was changed or "
                f"removed; {_RESTORE}"
            )
        return Head(count=count, digest=digest, since=chain.since)


def _digest(event: RequestEventRow, request: str) -> str:
    return _digest_of([event.position, event.previous, request, event.seq, event.at, event.kind, event.detail])


def _of_those_before(session: Session) -> str:
    """What the chain begins with: the events without a place in it."""
    before = (
        select(RequestEventRow, RequestRow.public_id)
        .join(RequestRow, RequestRow.id == RequestEventRow.request_id)
        .where(RequestEventRow.position.is_(None))
        .order_by(RequestEventRow.request_id, RequestEventRow.seq)
    )
    return _digest_of([[request, e.seq, e.at, e.kind, e.detail] for e, request in session.execute(before).tuples()])


def _digest_of(value: list[object]) -> str:
    """Of JSON as Python writes it: unlike RFC 8785 it has a form for every number that an event may hold."""
    return digest_bytes("event", json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _check_triggers(session: Session) -> None:
    if session.get_bind().dialect.name != "sqlite":  # elsewhere the grants of the database refuse
        return
    rows = session.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    found: dict[str, str] = dict(rows.tuples().all())
    if missing := [name for name in TRIGGERS if "RAISE(ABORT" not in found.get(name, "")]:
        raise InvalidData(f"the ledger's trigger {missing[0]} is gone, so evidence could have been changed; {_RESTORE}")
