"""Model versions: what each was trained on, unit by unit, and whether it may serve."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from expunge.core import Promise, Unit
from expunge.core.errors import InvalidData, InvalidParameter, NotReady
from expunge.ledger.content import digest_of, file_of
from expunge.ledger.datasets import dataset_row, has_grown, newest_version
from expunge.ledger.event_time import event_time
from expunge.ledger.manifests import digest_without, read_manifest
from expunge.ledger.members import UnitMembers, read_members, write_members
from expunge.ledger.names import unknown_name
from expunge.ledger.plain import plain_json
from expunge.ledger.shared import with_companies
from expunge.ledger.store import Store
from expunge.ledger.tables import (
    DatasetRow,
    DatasetVersionRow,
    ModelRow,
    ModelVersionRow,
    TombstoneRow,
    UnitRow,
)

UNKNOWN = "UNKNOWN"


class VersionState(StrEnum):
    """`current` serves, one per model at most; `candidate` is built; `quarantined` is out of use."""

    CURRENT = "current"
    CANDIDATE = "candidate"
    QUARANTINED = "quarantined"
    PURGED = "purged"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One state of a model. `trained_on` is a manifest digest or UNKNOWN; `parent` a version's digest."""

    model: str
    kind: str
    dataset: str | None
    digest: str
    path: str
    parent: str | None
    recipe: dict[str, Any]
    promise: dict[str, Any] | None
    state: VersionState
    trained_on: str
    units: tuple[Unit, ...]
    members_known: bool
    created_at: str


def record_model_version(
    store: Store,
    model: str,
    *,
    kind: str,
    digest: str,
    path: str,
    units: Sequence[UnitMembers] = (),
    dataset: str | None = None,
    trained_on: str = UNKNOWN,
    without: Collection[str] = (),
    without_records: Collection[bytes] = (),
    parent: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    promise: Promise | None = None,
) -> ModelVersion:
    """Record a version as a candidate, with its units and their members; the first one records the model.

    `trained_on` is a manifest of the dataset, or what the parent was trained on; if people were left out, name them in
    `without`, and records in `without_records`, and the version is recorded as trained on the manifest of the records that stay;
    of a dataset that has grown, of those among its members. Recording the same version
    again changes nothing, so that a step may be repeated; one that was purged is a candidate again.

    Raises: InvalidData, if the digest stands for another version, or units and members disagree;
    InvalidParameter, if the model has another kind or dataset, or `trained_on` is no manifest of the dataset;
    UnknownName.
    """
    if len({u.unit.id for u in units}) < len(units):
        raise InvalidData(f"a version of '{model}' lists a unit twice; unit ids are unique within a version")
    for unit in units:
        unit.check()
    with store.transaction() as session:
        row = _model(session, model, kind, dataset)
        _check_manifest(session, row, trained_on, parent)
        if (without or without_records) and trained_on != UNKNOWN:
            trained_on = _manifest_without(store, session, row, without, without_records, units)
        if known := session.scalar(select(ModelVersionRow).where(_is(row, digest))):
            return _same(store, session, known, path, trained_on, units)
        version = ModelVersionRow(
            model_id=row.id,
            digest=digest,
            path=path,
            parent_id=None if parent is None else version_row(session, model, parent).id,
            recipe=plain_json(recipe),
            promise=None if promise is None else plain_json(promise.to_json()),
            state=VersionState.CANDIDATE,
            trained_on=trained_on,
            created_at=event_time(session),
        )
        session.add(version)
        session.flush()
        session.add_all(_unit(store, version, unit) for unit in units)
        session.flush()
        return version_info(session, version)


def model_version(store: Store, model: str, digest: str) -> ModelVersion:
    """A version by its digest. Raises: UnknownName."""
    with store.database.read() as session:
        return version_info(session, version_row(session, model, digest))


def model_versions(store: Store, model: str) -> tuple[ModelVersion, ...]:
    """Every version of a model, oldest first. Raises: UnknownName."""
    with store.database.read() as session:
        row = _model_row(session, model)
        return tuple(version for _, version in _versions(session, ModelVersionRow.model_id == row.id))


def current_version(store: Store, model: str) -> ModelVersion | None:
    """The version that serves, if one does. Raises: UnknownName."""
    return next((v for v in model_versions(store, model) if v.state is VersionState.CURRENT), None)


def models(store: Store) -> tuple[str, ...]:
    """The names of all models."""
    with store.database.read() as session:
        return tuple(session.scalars(select(ModelRow.name).order_by(ModelRow.name)))


def unit_members(store: Store, model: str, digest: str) -> dict[str, dict[bytes, int]]:
    """By unit: the slice of each of its records, by commitment. Units with unknown members are left out.

    Raises: UnknownName; NotReady, if the version is purged: its member files are gone; DigestMismatch.
    """
    with store.database.read() as session:
        version = version_row(session, model, digest)
        if version.state == VersionState.PURGED:
            raise NotReady(f"version {digest} of '{model}' is purged, and the list of its records with it")
        return {
            unit.name: read_members(store.members, digest_of(unit.members))
            for unit in unit_rows(session, version)
            if unit.members is not None
        }


def version_row(session: Session, model: str, digest: str) -> ModelVersionRow:
    """The row of a version. Raises: UnknownName."""
    row = _model_row(session, model)
    version = session.scalar(select(ModelVersionRow).where(_is(row, digest)))
    if version is None:
        known = session.scalars(select(ModelVersionRow.digest).where(ModelVersionRow.model_id == row.id))
        raise unknown_name(f"version of model '{model}' with digest", digest, known)
    return version


def unit_rows(session: Session, version: ModelVersionRow) -> list[UnitRow]:
    """The units of a version, in the order in which they were recorded."""
    return list(session.scalars(select(UnitRow).where(UnitRow.version_id == version.id).order_by(UnitRow.id)))


def versions_in_use(session: Session) -> list[tuple[int, ModelVersion]]:
    """Every version of every model that is not purged, with the number of its row."""
    return _versions(session, ModelVersionRow.state != VersionState.PURGED)


def _versions(session: Session, which: Any) -> list[tuple[int, ModelVersion]]:
    """Versions with all their units in two queries, oldest first."""
    made_from = aliased(ModelVersionRow)
    found = (
        select(ModelVersionRow, ModelRow.name, ModelRow.kind, DatasetRow.name, made_from.digest)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .outerjoin(DatasetRow, DatasetRow.id == ModelRow.dataset_id)
        .outerjoin(made_from, made_from.id == ModelVersionRow.parent_id)
        .where(which)
        .order_by(ModelVersionRow.id)
    )
    rows = session.execute(found).tuples().all()
    units: dict[int, list[tuple[Unit, bool]]] = {}
    columns = (UnitRow.version_id, UnitRow.name, UnitRow.slices, UnitRow.digest, UnitRow.members.is_not(None))
    of_these = select(*columns).join(ModelVersionRow, UnitRow.version_id == ModelVersionRow.id).where(which)
    for version_id, name, slices, digest, known in session.execute(of_these.order_by(UnitRow.id)).tuples():
        units.setdefault(version_id, []).append((Unit(name, tuple(slices), digest), known))
    return [
        (
            row.id,
            ModelVersion(
                model=model,
                kind=kind,
                dataset=dataset,
                digest=row.digest,
                path=row.path,
                parent=parent,
                recipe=row.recipe,
                promise=row.promise,
                state=VersionState(row.state),
                trained_on=row.trained_on,
                units=tuple(unit for unit, _ in units.get(row.id, ())),
                members_known=row.trained_on != UNKNOWN
                and row.id in units
                and all(known for _, known in units[row.id]),
                created_at=row.created_at,
            ),
        )
        for row, model, kind, dataset, parent in rows
    ]


def _model_row(session: Session, model: str) -> ModelRow:
    row = session.scalar(select(ModelRow).where(ModelRow.name == model))
    if row is None:
        raise unknown_name("model", model, session.scalars(select(ModelRow.name)))
    return row


def _model(session: Session, name: str, kind: str, dataset: str | None) -> ModelRow:
    dataset_id = None if dataset is None else dataset_row(session, dataset).id
    row = session.scalar(select(ModelRow).where(ModelRow.name == name))
    if row is None:
        row = ModelRow(name=name, kind=kind, dataset_id=dataset_id)
        session.add(row)
        session.flush()
    elif (row.kind, row.dataset_id) != (kind, dataset_id):
        raise InvalidParameter(
            f"model '{name}' is recorded with kind '{row.kind}'; now kind '{kind}' and dataset '{dataset}' "
            "were given, and at least one differs; a model keeps both, record this one under another name"
        )
    return row


def _check_manifest(session: Session, row: ModelRow, trained_on: str, parent: str | None) -> None:
    if trained_on == UNKNOWN or (parent and version_row(session, row.name, parent).trained_on == trained_on):
        return
    manifests = select(DatasetVersionRow.manifest).where(DatasetVersionRow.dataset_id == row.dataset_id)
    if trained_on not in set(session.scalars(manifests)):
        raise InvalidParameter(
            f"'{row.name}' is said to be trained on {trained_on}, which is no manifest of its dataset; "
            f"pass the manifest of a dataset's version, or {UNKNOWN}"
        )


def _manifest_without(
    store: Store,
    session: Session,
    row: ModelRow,
    refs: Collection[str],
    records: Collection[bytes],
    units: Sequence[UnitMembers],
) -> str:
    """The digest of the newest manifest's rows that nobody of these has, and that are not entombed.

    What a dataset took in later than the model learned from it is no part of it: of one that has grown, the members alone count.
    """
    dataset = session.get_one(DatasetRow, row.dataset_id)
    gone = set(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.dataset_id == dataset.id)))
    gone |= set(records)
    manifest = newest_version(session, dataset).manifest
    if has_grown(session, dataset) and all(unit.members is not None for unit in units):
        listed = {row.tobytes() for unit in units if (rows := unit.rows()) for row in rows.commitments}
        gone |= read_manifest(store.manifests, manifest).keys() - listed
    return digest_without(store.manifests, manifest, with_companies(session, refs), gone)


def _same(
    store: Store,
    session: Session,
    known: ModelVersionRow,
    path: str,
    trained_on: str,
    units: Sequence[UnitMembers],
) -> ModelVersion:
    recorded = version_info(session, known)
    given = (path, trained_on, tuple(u.unit for u in units))
    if known.state == VersionState.PURGED and (known.trained_on, recorded.units) == given[1:]:
        for unit in units:
            if unit.members is not None:
                write_members(store.members, unit.members)
        known.state, known.path = VersionState.CANDIDATE, path
        session.flush()
        return version_info(session, known)
    if (known.path, known.trained_on, recorded.units) != given:
        raise InvalidData(
            f"{known.digest} of '{recorded.model}' is already recorded ({known.state}, in {known.path}) "
            "with other units, data or folder; two versions cannot share a digest"
        )
    return recorded


def _unit(store: Store, version: ModelVersionRow, given: UnitMembers) -> UnitRow:
    members = None
    if given.members is not None:
        digest = write_members(store.members, given.members)
        members = file_of(store.members, digest).relative_to(store.root).as_posix()
    unit = given.unit
    return UnitRow(version_id=version.id, name=unit.id, digest=unit.digest, slices=list(unit.slices), members=members)


def version_info(session: Session, row: ModelVersionRow) -> ModelVersion:
    """A version as it is handed out."""
    ((_, version),) = _versions(session, ModelVersionRow.id == row.id)
    return version


def _is(model: ModelRow, digest: str) -> Any:
    return (ModelVersionRow.model_id == model.id) & (ModelVersionRow.digest == digest)
