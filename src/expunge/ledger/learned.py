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
from expunge.ledger.tables import ModelRow, ModelVersionRow, TombstoneRow, UnitRow


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


@dataclass(frozen=True)
class _Touched:
    units: tuple[TouchedUnit, ...]
    n_records: int


def units_that_learned_from(store: Store, subjects: Sequence[str]) -> dict[tuple[str, str], tuple[TouchedUnit, ...]]:
    """Of every version in use that is known to have learned, by model and digest, the units that are touched.

    Raises: UnknownSubject; DigestMismatch, as `models_that_learned_from`.
    """
    with store.database.read() as session:
        touched = _touched(store, session, commitments_of(store, session, subjects))
        named = (
            select(ModelVersionRow.id, ModelRow.name, ModelVersionRow.digest)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .where(ModelVersionRow.id.in_(touched))
            .order_by(ModelVersionRow.id)
        )
        return {(model, digest): touched[id].units for id, model, digest in session.execute(named).tuples()}


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


def _touched(store: Store, session: Session, theirs: set[bytes]) -> dict[int, _Touched]:
    """By version in use, as its row is numbered: the units that hold some of these records. Raises: DigestMismatch."""
    sought = Sought.of(theirs)
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
    return {
        version_id: _Touched(
            tuple(TouchedUnit(name, found.count(sought), found.earliest) for name, found in units),
            count_found(sought, [found for _, found in units]),
        )
        for version_id, units in holding.items()
    }


def _learned(store: Store, session: Session, theirs: set[bytes]) -> LearnedFrom:
    touched = _touched(store, session, theirs)
    versions = versions_in_use(session)
    learned = [LearnedVersion(v, touched[id].units, touched[id].n_records) for id, v in versions if id in touched]
    return LearnedFrom(tuple(learned), tuple(version for _, version in versions if not version.members_known))
