"""Which models learned from somebody."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from expunge.core import TouchedUnit
from expunge.ledger.content import digest_of
from expunge.ledger.members import Found, Sought, count_found, find_members
from expunge.ledger.models import ModelVersion, VersionState, versions_in_use
from expunge.ledger.requests import dataset_rows, request_row, subject_rows
from expunge.ledger.store import Store
from expunge.ledger.subjects import commitments_of
from expunge.ledger.tables import ModelVersionRow, TombstoneRow, UnitRow


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
    """The commitments of a request's records: of its people while they are live, and of whatever it buried.

    Tombstones of earlier releases do not say who buried them: a request that ended under one has all of its datasets'
    such tombstones, which can be more than its own. All of them are of erased people.

    Raises: UnknownName.
    """
    with store.database.read() as session:
        row = request_row(session, request)
        live = [subject.ref for subject in subject_rows(session, row) if subject.state == "live"]
        theirs = commitments_of(store, session, live) if live else set()
        buried = set(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.request_id == row.id)))
        if not buried and not theirs:
            before = TombstoneRow.request_id.is_(None)
            inside = TombstoneRow.dataset_id.in_([dataset.id for dataset in dataset_rows(session, row)])
            buried = set(session.scalars(select(TombstoneRow.commitment).where(before, inside)))
        return theirs | buried


def units_that_hold(store: Store, session: Session, sought: Sought) -> dict[int, list[tuple[str, Found]]]:
    """By version in use, as its row is numbered, the units that hold some of these records. Raises: DigestMismatch."""
    in_use = (
        select(UnitRow.version_id, UnitRow.name, UnitRow.members)
        .join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id)
        .where(ModelVersionRow.state != VersionState.PURGED, UnitRow.members.is_not(None))
        .order_by(UnitRow.version_id, UnitRow.id)
    )
    in_file: dict[str, Found | None] = {}  # versions share the files of units that are the same
    holding: dict[int, list[tuple[str, Found]]] = {}
    for version_id, name, members in session.execute(in_use).tuples():
        assert members
        if members not in in_file:
            in_file[members] = find_members(store.members, digest_of(members), sought)
        if found := in_file[members]:
            holding.setdefault(version_id, []).append((name, found))
    return holding


def _learned(store: Store, session: Session, theirs: set[bytes]) -> LearnedFrom:
    sought = Sought.of(theirs)
    holding = units_that_hold(store, session, sought)
    learned: list[LearnedVersion] = []
    unknown: list[ModelVersion] = []
    for row, version in versions_in_use(session):
        if units := holding.get(row.id):
            touched = tuple(TouchedUnit(name, found.count(sought), found.earliest) for name, found in units)
            learned.append(LearnedVersion(version, touched, count_found(sought, [found for _, found in units])))
        if not version.members_known:
            unknown.append(version)
    return LearnedFrom(tuple(learned), tuple(unknown))
