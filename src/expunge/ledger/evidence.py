"""Where the audits and certificates of a request are, by digest."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import InvalidData
from expunge.ledger.event_time import event_time
from expunge.ledger.requests import request_row
from expunge.ledger.store import Store
from expunge.ledger.tables import AuditRow, CertificateRow, RequestRow


@dataclass(frozen=True, kw_only=True)
class CertificateInfo:
    """A certificate's file, and the index of its hash in a log (None: not appended yet), the project's first, second, …"""

    request: str
    digest: str
    path: str
    log_index: int | None
    log_id: int
    created_at: str


@dataclass(frozen=True, kw_only=True)
class AuditInfo:
    """An audit's file, for the version whose weights have digest `version`."""

    request: str | None
    version: str
    digest: str
    path: str
    created_at: str


def record_certificate(
    store: Store, request: str, *, digest: str, path: str, log_index: int | None = None, log_id: int = 1
) -> CertificateInfo:
    """Record a certificate, before it is logged. Recording it again may only fill in a place in a log that was missing.

    Raises: UnknownName; InvalidData, if the digest is recorded with another request, path or log index, or another
    certificate has that place in the log.
    """
    with store.database.write() as session:
        owner = request_row(session, request)
        row = session.scalar(select(CertificateRow).where(CertificateRow.digest == digest))
        if row is None:
            row = CertificateRow(
                request_id=owner.id,
                digest=digest,
                path=path,
                log_id=log_id,
                log_index=None,
                created_at=event_time(session),
            )
            session.add(row)
        if (row.request_id, row.path) != (owner.id, path) or (
            log_index is not None and row.log_index not in (None, log_index)
        ):
            raise InvalidData(f"certificate {digest} is recorded already, at {row.path} with log index {row.log_index}")
        if row.log_index is None and log_index is not None:
            there = (CertificateRow.log_id == log_id) & (CertificateRow.log_index == log_index)
            if taken := session.scalar(select(CertificateRow.digest).where(there)):
                raise InvalidData(f"entry {log_index} of the log is recorded already, as certificate {taken}")
            row.log_id, row.log_index = log_id, log_index
        session.flush()
        return _certificate(request, row)


def certificates(store: Store, request: str | None = None) -> tuple[CertificateInfo, ...]:
    """The certificates of a request, or of all, oldest first. Raises: UnknownName."""
    with store.database.read() as session:
        wanted = (
            select(CertificateRow, RequestRow.public_id)
            .join(RequestRow, RequestRow.id == CertificateRow.request_id)
            .order_by(CertificateRow.id)
        )
        if request is not None:
            wanted = wanted.where(CertificateRow.request_id == request_row(session, request).id)
        return tuple(_certificate(name, row) for row, name in session.execute(wanted).tuples())


def record_audit(store: Store, *, version: str, digest: str, path: str, request: str | None = None) -> AuditInfo:
    """Record an audit; recording it again changes nothing.

    Raises: UnknownName; InvalidData, if the digest is recorded for this version with another request or path.
    """
    with store.database.write() as session:
        owner = None if request is None else request_row(session, request).id
        same = (AuditRow.version_digest == version) & (AuditRow.digest == digest)
        row = session.scalar(select(AuditRow).where(same))
        if row is None:
            row = AuditRow(
                request_id=owner, version_digest=version, digest=digest, path=path, created_at=event_time(session)
            )
            session.add(row)
            session.flush()
        if (row.request_id, row.path) != (owner, path):
            raise InvalidData(f"audit {digest} is recorded already, at {row.path}, for this or another request")
        return _audit(session, row)


def audits(store: Store, *, version: str | None = None, request: str | None = None) -> tuple[AuditInfo, ...]:
    """Audits, oldest first, of one version or one request where given. Raises: UnknownName."""
    with store.database.read() as session:
        wanted = select(AuditRow).order_by(AuditRow.id)
        if version is not None:
            wanted = wanted.where(AuditRow.version_digest == version)
        if request is not None:
            wanted = wanted.where(AuditRow.request_id == request_row(session, request).id)
        return tuple(_audit(session, row) for row in session.scalars(wanted))


def _certificate(request: str, row: CertificateRow) -> CertificateInfo:
    return CertificateInfo(
        request=request,
        digest=row.digest,
        path=row.path,
        log_index=row.log_index,
        log_id=row.log_id,
        created_at=row.created_at,
    )


def _audit(session: Session, row: AuditRow) -> AuditInfo:
    request = None if row.request_id is None else session.get_one(RequestRow, row.request_id).public_id
    return AuditInfo(
        request=request,
        version=row.version_digest,
        digest=row.digest,
        path=row.path,
        created_at=row.created_at,
    )
