"""The two ends of an erasure: entomb the records at its start, let the ledger forget at its end."""

from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import NotReady
from expunge.ledger.datasets import new_version, newest_version
from expunge.ledger.manifests import read_manifest
from expunge.ledger.requests import append_event, events, request_row, subject_rows
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetRow, TombstoneRow


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What left the ledger, by count and digest."""

    n_records: int
    n_subjects: int
    manifest_before: str
    manifest_after: str


def entomb(store: Store, request: str) -> int:
    """Put a tombstone on every record of a request's subjects: `live_records` leaves them out from now on.

    May be repeated. Returns how many records the request entombs.

    Raises: UnknownName.
    """
    with store.database.write() as session:
        for event in events(store, request):
            if event.kind == "entombed":
                return int(event.detail["n_records"])
        row = request_row(session, request)
        buried = _tombstones(session, row.dataset_id)
        refs = {subject.ref for subject in subject_rows(session, row)}
        version = newest_version(session, session.get_one(DatasetRow, row.dataset_id))
        manifest = read_manifest(store.manifests, version.manifest)
        theirs = sorted(commitment for commitment, ref in manifest.items() if ref in refs)
        session.add_all(
            TombstoneRow(dataset_id=row.dataset_id, commitment=commitment)
            for commitment in theirs
            if commitment not in buried
        )
        append_event(store, request, "entombed", {"n_records": len(theirs)})
        return len(theirs)


def finish_erasure(store: Store, request: str) -> Erasure:
    """Let the ledger forget a request's subjects; it may be repeated after a kill at any point.

    1. One transaction: a manifest without their rows becomes the newest, their handles are wiped, an event
       says so.
    2. Files and keys follow: the old manifest is unlinked, the subjects' keys are destroyed.
    3. The database is rewritten, so that neither it nor its journals hold what was deleted.

    What stays are tombstones and digests, which point at nobody without the keys. Afterwards nobody can look
    up which models learned from them: call this when those models are dealt with.

    Raises: UnknownName; NotReady, before `entomb` or inside a transaction; ProjectLocked, while another
    process reads the database.
    """
    if store.database.in_transaction:
        raise NotReady(
            "finish_erasure was called inside a transaction; it needs the end of one to remove keys and files"
        )
    with store.transaction() as session:  # 1, and 2 at its end
        erasure = _finished(store, request) or _forget(store, session, request)
        refs = [subject.ref for subject in subject_rows(session, request_row(session, request))]
    store.keys.destroy(refs)  # 2, also what a killed run left in free pages
    store.database.scrub()  # 3
    return erasure


def _finished(store: Store, request: str) -> Erasure | None:
    for event in events(store, request):
        if event.kind == "erased":
            return Erasure(**event.detail)
    return None


def _forget(store: Store, session: Session, request: str) -> Erasure:
    if not any(event.kind == "entombed" for event in events(store, request)):
        raise NotReady(f"the records of {request} are not entombed yet; entomb them before the erasure is finished")
    row = request_row(session, request)
    dataset = session.get_one(DatasetRow, row.dataset_id)
    subjects = subject_rows(session, row)
    refs = {subject.ref for subject in subjects}
    before = newest_version(session, dataset)
    manifest = read_manifest(store.manifests, before.manifest)
    remaining = [(commitment, ref) for commitment, ref in manifest.items() if ref not in refs]
    # Another request for the same people may have been finished first: then nothing is left to take out.
    after = new_version(store, session, dataset, remaining, before) if len(remaining) < len(manifest) else before
    for subject in subjects:
        subject.state, subject.handle = "erased", None
    erasure = Erasure(
        n_records=len(manifest) - len(remaining),
        n_subjects=len(subjects),
        manifest_before=before.manifest,
        manifest_after=after.manifest,
    )
    append_event(store, request, "erased", asdict(erasure))
    return erasure


def _tombstones(session: Session, dataset_id: int) -> set[bytes]:
    return set(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.dataset_id == dataset_id)))
