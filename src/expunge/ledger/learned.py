"""Which models learned from somebody."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core import TouchedUnit
from expunge.ledger.content import digest_of
from expunge.ledger.members import read_members
from expunge.ledger.models import ModelVersion, unit_rows, versions_in_use
from expunge.ledger.requests import dataset_rows, request_records, request_row, subject_rows
from expunge.ledger.store import Store
from expunge.ledger.subjects import commitments_of
from expunge.ledger.tables import TombstoneRow


@dataclass(frozen=True)
class LearnedVersion:
    """A version that learned from the subjects: the units touched, and how many of their records it saw."""

    version: ModelVersion
    units: tuple[TouchedUnit, ...]
    n_records: int


@dataclass(frozen=True)
class LearnedFrom:
    """Versions known to have learned, and versions whose data is not, or not wholly, known.

    A version can be in both: some of its units learned from the subjects, and of others nothing is known.
    """

    versions: tuple[LearnedVersion, ...]
    unknown: tuple[ModelVersion, ...]


def models_that_learned_from(store: Store, subjects: Sequence[str]) -> LearnedFrom:
    """Look through the members of every version that is not purged.

    Raises: UnknownSubject, if a reference is erased or unknown; DigestMismatch, if a manifest or member file
    is altered.
    """
    with store.database.read() as session:
        return _learned(store, session, commitments_of(store, session, subjects))


def models_that_hold(store: Store, request: str) -> LearnedFrom:
    """What learned from the records of a request, buried or not. See `records_of`. Raises: UnknownName; DigestMismatch."""
    with store.database.read() as session:
        return _learned(store, session, records_of(store, request))


def records_of(store: Store, request: str) -> set[bytes]:
    """The commitments of a request's records: of its people while they are live, of those that it is about by themselves, and of
    whatever it buried.

    Tombstones of earlier releases do not say who buried them: a request that ended under one has all of its datasets'
    such tombstones, which can be more than its own. All of them are of erased people.

    Raises: UnknownName.
    """
    with store.database.read() as session:
        row = request_row(session, request)
        live = [subject.ref for subject in subject_rows(session, row) if subject.state == "live"]
        theirs = (commitments_of(store, session, live) if live else set()) | request_records(session, row)
        buried = set(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.request_id == row.id)))
        if not buried and not theirs:
            before = TombstoneRow.request_id.is_(None)
            inside = TombstoneRow.dataset_id.in_([dataset.id for dataset in dataset_rows(session, row)])
            buried = set(session.scalars(select(TombstoneRow.commitment).where(before, inside)))
        return theirs | buried


def _learned(store: Store, session: Session, theirs: set[bytes]) -> LearnedFrom:
    learned: list[LearnedVersion] = []
    unknown: list[ModelVersion] = []
    for row, version in versions_in_use(session):
        touched: list[TouchedUnit] = []
        records: set[bytes] = set()
        for unit in unit_rows(session, row):
            if unit.members is not None and (hits := read_members(store.members, digest_of(unit.members), theirs)):
                touched.append(TouchedUnit(unit.name, len(hits), min(hits.values())))
                records |= hits.keys()
        if touched:
            learned.append(LearnedVersion(version, tuple(touched), len(records)))
        if not version.members_known:
            unknown.append(version)
    return LearnedFrom(tuple(learned), tuple(unknown))
