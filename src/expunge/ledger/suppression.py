"""Who was erased and must not come back unnoticed: an opt-in list of keyed hashes, under a key of its own.

It is personal data that is kept, so it needs a legal basis and ends on a day, and a certificate says whether there was one. The
erasure itself leaves nothing that recognises a person in new data.
"""

import hmac
from collections.abc import Iterable
from datetime import date

from sqlalchemy import delete, select

from expunge.core.errors import InvalidParameter
from expunge.core.identity import canonical_identity
from expunge.ledger.clock import now
from expunge.ledger.requests import append_event, request_row
from expunge.ledger.store import Store
from expunge.ledger.tables import RequestRow, SuppressionRow

_KEY = "suppression"


def suppress(store: Store, request: str, identities: Iterable[str], basis: str, keep_until: date) -> int:
    """Put people on the list, as an event of the request that erases them. May be repeated. Returns how many.

    Raises: UnknownName; InvalidParameter, without a legal basis.
    """
    if not basis.strip():
        raise InvalidParameter("a suppression list is personal data that is kept; say on which legal basis")
    handles = {_handle(store, identity) for identity in identities}
    with store.database.write() as session:
        owner = request_row(session, request)
        known = set(session.scalars(select(SuppressionRow.handle).where(SuppressionRow.handle.in_(handles))))
        session.add_all(
            SuppressionRow(handle=handle, request_id=owner.id, basis=basis, keep_until=keep_until.isoformat())
            for handle in handles - known
        )
        if handles - known:
            detail = {"n_people": len(handles - known), "basis": basis, "keep_until": keep_until.isoformat()}
            append_event(store, request, "suppressed", detail)
    return len(handles)


def returning(store: Store, identities: Iterable[str]) -> dict[str, str]:
    """Of those who are on the list: by identity, the request that erased them. Entries whose day has come are deleted first."""
    end_of_suppression(store)
    handles = {_handle(store, identity): identity for identity in dict.fromkeys(identities)}
    with store.database.read() as session:
        listed = select(SuppressionRow.handle, RequestRow.public_id).join(
            RequestRow, RequestRow.id == SuppressionRow.request_id
        )
        found = {handle: request for handle, request in session.execute(listed).tuples() if handle in handles}
    return {handles[handle]: request for handle, request in found.items()}


def end_of_suppression(store: Store) -> int:
    """Delete the entries that were kept until today. Returns how many."""
    today = now().date().isoformat()
    with store.database.read() as session:
        ended = list(session.scalars(select(SuppressionRow.handle).where(SuppressionRow.keep_until < today)))
    if ended:
        with store.database.write() as session:
            session.execute(delete(SuppressionRow).where(SuppressionRow.handle.in_(ended)))
    return len(ended)


def count_suppressed(store: Store) -> int:
    """How many people are on the list."""
    with store.database.read() as session:
        return len(list(session.scalars(select(SuppressionRow.handle))))


def _handle(store: Store, identity: str) -> bytes:
    message = b"expunge/suppression/v1\0" + canonical_identity(identity).encode()
    return hmac.digest(store.keys.secret(_KEY), message, "sha256")
