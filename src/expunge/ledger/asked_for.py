"""Records that open requests are about: whose rows may be gone from their file already, for their owner deletes them first."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.ledger.datasets import dataset_row, newest_version
from expunge.ledger.manifests import read_manifest
from expunge.ledger.requests import RequestState
from expunge.ledger.shared import companies
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetRow, RequestRecordRow, RequestRow, RequestSubjectRow, SubjectRow, TombstoneRow

_OPEN = [state for state in RequestState if state.open and state is not RequestState.ON_HOLD]  # what is held stays


def asked_for(store: Store, name: str) -> dict[bytes, str]:
    """Of each record of a dataset that an open request is about: which request, the oldest where there are several.

    Raises: UnknownName; DigestMismatch.
    """
    with store.database.read() as session:
        row = dataset_row(session, name)
        return records_asked_for(session, row, read_manifest(store.manifests, newest_version(session, row).manifest))


def people_asked_for(session: Session, dataset: DatasetRow) -> dict[str, str]:
    """Of each subject of a dataset that an open request is about: which request."""
    about = (
        select(SubjectRow.ref, RequestRow.public_id)
        .join(RequestSubjectRow, RequestSubjectRow.subject_id == SubjectRow.id)
        .join(RequestRow, RequestRow.id == RequestSubjectRow.request_id)
        .where(SubjectRow.dataset_id == dataset.id, RequestRow.state.in_(_OPEN))
        .order_by(RequestRow.id.desc())
    )
    return dict(session.execute(about).tuples().all())


def records_asked_for(session: Session, dataset: DatasetRow, manifest: Mapping[bytes, str]) -> dict[bytes, str]:
    """As `asked_for`, among the records of a manifest, which gives the subject of each."""
    by_person = people_asked_for(session, dataset)
    for company, people in companies(session, dataset.id).items():
        for ref in sorted(people & by_person.keys()):
            by_person.setdefault(company, by_person[ref])
    found = {commitment: by_person[ref] for commitment, ref in manifest.items() if ref in by_person}
    for table in (RequestRecordRow, TombstoneRow):
        by_record = (
            select(table.commitment, RequestRow.public_id)
            .join(RequestRow, RequestRow.id == table.request_id)
            .where(table.dataset_id == dataset.id, RequestRow.state.in_(_OPEN))
            .order_by(RequestRow.id.desc())
        )
        found |= {c: request for c, request in session.execute(by_record).tuples() if c in manifest}
    return found
