"""The two ends of an erasure: entomb the records at its start, let the ledger forget at its end."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core.errors import NotReady
from expunge.ledger.batches import batched
from expunge.ledger.datasets import count_people, newest_version, record_version
from expunge.ledger.learned import models_that_hold
from expunge.ledger.manifests import recorded_among, records_of_subjects, write_without
from expunge.ledger.requests import (
    append_event,
    dataset_rows,
    events,
    get_request,
    request_records,
    request_row,
    subject_rows,
)
from expunge.ledger.shared import part_companies, with_companies
from expunge.ledger.store import Store
from expunge.ledger.tables import TombstoneRow


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """The digest of a dataset's manifest before an erasure and after it."""

    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What left the ledger, by count, and of each dataset by digest."""

    n_records: int
    n_subjects: int
    datasets: dict[str, Manifests]


def entomb(store: Store, request: str) -> int:
    """Put a tombstone on every record of a request's subjects, in every dataset, and on those that it is about by themselves:
    `live_records` leaves them out from now on.

    May be repeated. Returns how many records the request entombs.

    Raises: UnknownName.
    """
    with store.database.write() as session:
        for event in events(store, request):
            if event.kind == "entombed":
                return int(event.detail["n_records"])
        row = request_row(session, request)
        refs = with_companies(session, (subject.ref for subject in subject_rows(session, row)))
        by_themselves = request_records(session, row)
        n_records = 0
        for dataset in dataset_rows(session, row):
            manifest = newest_version(session, dataset).manifest
            theirs = sorted(_leaving(store, manifest, refs, by_themselves))
            buried = _buried(session, theirs)
            session.add_all(
                TombstoneRow(dataset_id=dataset.id, commitment=commitment, request_id=row.id)
                for commitment in theirs
                if commitment not in buried
            )
            n_records += len(theirs)
        append_event(store, request, "entombed", {"n_records": n_records})
        return n_records


def finish_erasure(store: Store, request: str, left: Collection[str] = (), kept: Collection[str] = ()) -> Erasure:
    """Let the ledger forget a request's subjects; it may be repeated after a kill at any point.

    1. One transaction: manifests without their rows become the newest, their handles are wiped, an event says so.
    2. Files and keys follow: the old manifests are unlinked, the subjects' keys are destroyed.
    3. The database is rewritten, so that neither it nor its journals hold what was deleted.

    Of a request about records by themselves the records go, and the people stay.

    What stays are tombstones and digests, which point at nobody without the keys. `left` names models that somebody decided
    to leave as they are; every other one must have been dealt with. `kept` names datasets that somebody decided to keep: their
    rows and keys stay, and nothing trains on them.

    Raises: UnknownName; NotReady, before `entomb`, inside a transaction, or while a version in use holds the records;
    ProjectLocked, while another process reads the database.
    """
    if store.database.in_transaction:
        raise NotReady(
            "finish_erasure was called inside a transaction; it needs the end of one to remove keys and files"
        )
    with store.transaction() as session:  # 1, and 2 at its end
        erasure = finished_erasure(store, request) or _forget(store, session, request, left, kept)
        about = subject_rows(session, request_row(session, request))
        refs = [subject.ref for subject in about if subject.state == "erased"]
    store.keys.destroy(refs)  # 2, also what a killed run left in free pages
    store.database.scrub()  # 3
    return erasure


def finished_erasure(store: Store, request: str) -> Erasure | None:
    """What left the ledger, once it has. Raises: UnknownName."""
    for event in events(store, request):
        if event.kind == "erased":
            return _read(event.detail, get_request(store, request).dataset)
    return None


def _read(detail: dict[str, Any], dataset: str) -> Erasure:
    if "manifest_before" in detail:  # as it was recorded while a request had one dataset
        datasets = {dataset: Manifests(before=detail["manifest_before"], after=detail["manifest_after"])}
    else:
        datasets = {name: Manifests(**manifests) for name, manifests in detail["datasets"].items()}
    return Erasure(n_records=detail["n_records"], n_subjects=detail["n_subjects"], datasets=datasets)


def _forget(store: Store, session: Session, request: str, left: Collection[str], kept: Collection[str]) -> Erasure:
    if not any(event.kind == "entombed" for event in events(store, request)):
        raise NotReady(f"the records of {request} are not entombed yet; entomb them before the erasure is finished")
    holding = {found.version.model for found in models_that_hold(store, request).versions} - set(left)
    if holding:
        raise NotReady(
            f"models in use still hold records of {request}: {', '.join(sorted(holding))}; deal with each, or decide to leave "
            "it, before the keys that find them are destroyed"
        )
    row = request_row(session, request)
    leaving = [dataset for dataset in dataset_rows(session, row) if dataset.name not in kept]
    subjects = [subject for subject in subject_rows(session, row) if subject.dataset_id in {d.id for d in leaving}]
    refs, by_themselves = with_companies(session, (subject.ref for subject in subjects)), request_records(session, row)
    datasets, n_records = {}, 0
    for dataset in leaving:
        before = newest_version(session, dataset)
        n_leaving = len(_leaving(store, before.manifest, refs, by_themselves))
        after = before
        if n_leaving:  # another request for the same people may have been finished first
            manifest = write_without(store.manifests, before.manifest, refs, by_themselves)
            n_people = count_people(store, session, dataset.id, manifest)
            n_left = before.n_records - n_leaving
            after = record_version(store, session, dataset, manifest, n_left, n_people, before)
        datasets[dataset.name] = Manifests(before=before.manifest, after=after.manifest)
        n_records += n_leaving
    part_companies(session, [subject.id for subject in subjects])
    store.keys.subjects.unsettle()
    for subject in subjects:
        subject.state, subject.handle = "erased", None
    erasure = Erasure(n_records=n_records, n_subjects=len(subjects), datasets=datasets)
    append_event(store, request, "erased", asdict(erasure))
    return erasure


def _leaving(store: Store, manifest: str, refs: Collection[str], by_themselves: Collection[bytes]) -> set[bytes]:
    """What a manifest has of these people, and of these records."""
    found = {c for of_one in records_of_subjects(store.manifests, manifest, refs).values() for c in of_one}
    return found | (recorded_among(store.manifests, manifest, by_themselves) if by_themselves else set())


def _buried(session: Session, commitments: Sequence[bytes]) -> set[bytes]:
    """Those of them that have a tombstone."""
    buried: set[bytes] = set()
    for some in batched(commitments):
        buried.update(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.commitment.in_(some))))
    return buried
