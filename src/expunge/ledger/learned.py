"""Which models learned from somebody."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from expunge.core import TouchedUnit
from expunge.ledger.batches import batched
from expunge.ledger.content import digest_of
from expunge.ledger.members import Found, Sought, count_found, find_members
from expunge.ledger.models import ModelVersion, VersionState, versions_in_use
from expunge.ledger.requests import dataset_rows, request_records, request_row, subject_rows
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
    version: tuple[str, str]  # model and digest
    units: tuple[TouchedUnit, ...]
    n_records: int


def units_that_learned_from(store: Store, subjects: Sequence[str]) -> dict[tuple[str, str], tuple[TouchedUnit, ...]]:
    """Of every version in use that is known to have learned, by model and digest, the units that are touched.

    Raises: UnknownSubject; DigestMismatch, as `models_that_learned_from`.
    """
    with store.database.read() as session:
        touched = _touched(store, session, commitments_of(store, session, subjects))
    return {found.version: found.units for found in touched.values()}


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


# Made once: to make a statement takes as long as to run it, and these are for every person who is looked up.
_IN_USE = UnitRow.members.is_not(None) & (ModelVersionRow.state != VersionState.PURGED)
_FILES = (
    select(UnitRow.members).join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id).where(_IN_USE).distinct()
)
_UNITS = (
    select(UnitRow.version_id, UnitRow.id, UnitRow.name, UnitRow.members, ModelRow.name, ModelVersionRow.digest)
    .join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id)
    .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
    .where(_IN_USE, UnitRow.members.in_(bindparam("paths", expanding=True)))
)


def _touched(store: Store, session: Session, theirs: set[bytes]) -> dict[int, _Touched]:
    """By version in use, as its row is numbered: the units that hold some of these records. Raises: DigestMismatch."""
    sought = Sought.of(theirs)
    # Versions share the files of units that are the same.
    by_digest = {digest_of(path): path for path in session.scalars(_FILES) if path}
    found = {by_digest[digest]: held for digest, held in find_members(store.members, by_digest, sought).items()}
    holding: dict[tuple[int, str, str], list[tuple[str, Found]]] = {}
    for paths in batched(found):
        units = sorted(session.execute(_UNITS, {"paths": paths}), key=lambda row: row[1])
        for version_id, _, name, path, model, digest in units:
            holding.setdefault((version_id, model, digest), []).append((name, found[str(path)]))
    return {
        version_id: _Touched(
            (model, digest),
            tuple(TouchedUnit(name, held.n_records, held.first_slice) for name, held in units),
            count_found(sought, [held for _, held in units]),
        )
        for (version_id, model, digest), units in holding.items()
    }


def _learned(store: Store, session: Session, theirs: set[bytes]) -> LearnedFrom:
    touched = _touched(store, session, theirs)
    versions = versions_in_use(session)
    learned = [LearnedVersion(v, touched[id].units, touched[id].n_records) for id, v in versions if id in touched]
    return LearnedFrom(tuple(learned), tuple(version for _, version in versions if not version.members_known))
