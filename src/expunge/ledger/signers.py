"""Under which keys a project speaks, and what its log was last signed as: kept apart from the keys and from the log.

The log's folder and the key files can be lost, exchanged or restored from yesterday; the ledger tells.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidCertificate, InvalidData
from expunge.ledger.event_time import event_time
from expunge.ledger.requests import append_event
from expunge.ledger.store import Store
from expunge.ledger.tables import CertificateRow, LogRow, RequestRow, SignerRow


@dataclass(frozen=True, kw_only=True)
class LogHead:
    """A project's log: its name, its verifier key, and the checkpoint that was signed last, or is about to be."""

    id: int
    origin: str
    vkey: str
    size: int
    root: str


def signer(store: Store) -> str | None:
    """The id of the key that signs certificates; None: an older Expunge made the project, and none was signed since."""
    with store.database.read() as session:
        return session.scalar(select(SignerRow.key_id).order_by(SignerRow.id.desc()).limit(1))


def record_signer(store: Store, key_id: str) -> None:
    """Write down, once, which key signs.

    Raises: InvalidCertificate, if another one is recorded.
    """
    with store.database.write() as session:
        if (known := signer(store)) not in (None, key_id):
            raise InvalidCertificate(
                f"certificates of this project are signed by key {known}, and keys/sign.pem is {key_id}; restore the key file"
            )
        if known is None:
            session.add(SignerRow(key_id=key_id, created_at=event_time(session)))


def log_head(store: Store) -> LogHead | None:
    """The log that is written to; None: an older Expunge made the project, and nothing was logged since."""
    with store.database.read() as session:
        row = _newest(session)
        return None if row is None else _head(row)


def begin_log(store: Store, origin: str, vkey: str, size: int = 0, root: str = "") -> LogHead:
    """Write down a log that is written to from now on.

    Raises: InvalidData, if a log of this name was recorded before.
    """
    with store.database.write() as session:
        if session.scalar(select(LogRow.id).where(LogRow.origin == origin)) is not None:
            raise InvalidData(f"this project has had a log named {origin} already; choose another name")
        row = LogRow(origin=origin, vkey=vkey, size=size, root=root, created_at=event_time(session))
        session.add(row)
        session.flush()
        return _head(row)


def keep_checkpoint(store: Store, origin: str, size: int, root: str, certificate: str | None) -> None:
    """What is about to be signed: one entry more, of the certificate with this digest. May be repeated.

    In one transaction with the certificate's place in the log, and with an event that says so.

    Raises: InvalidCertificate, if another log is written to, or it was signed at this size or beyond with another root.
    """
    with store.database.write() as session:
        row = _newest(session)
        if row is None or row.origin != origin or size < row.size or (size == row.size and root != row.root):
            raise InvalidCertificate(f"the log {origin} was signed further than entry {size - 1}; nothing was signed")
        row.size, row.root = size, root
        found = session.scalar(select(CertificateRow).where(CertificateRow.digest == certificate))
        if found is None or found.log_index is not None:
            return
        found.log_id, found.log_index = row.id, size - 1
        session.flush()
        request = session.get_one(RequestRow, found.request_id).public_id
        append_event(
            store, request, "logged", {"certificate": certificate, "log": origin, "log_index": size - 1, "root": root}
        )


def _newest(session: Session) -> LogRow | None:
    return session.scalar(select(LogRow).order_by(LogRow.id.desc()).limit(1))


def _head(row: LogRow) -> LogHead:
    return LogHead(id=row.id, origin=row.origin, vkey=row.vkey, size=row.size, root=row.root)
