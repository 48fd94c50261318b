"""The records that may be trained on now: in the file, in the manifest, and not entombed."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import select

from expunge.core import Record
from expunge.core.errors import DigestMismatch
from expunge.ledger.commitments import recorded_commitment
from expunge.ledger.datasets import DatasetInfo, dataset, dataset_row, source_path
from expunge.ledger.manifests import read_manifest
from expunge.ledger.planted import lost_planted, read_planted
from expunge.ledger.sources import read_records
from expunge.ledger.store import Store
from expunge.ledger.tables import SubjectRow, TombstoneRow


@dataclass(frozen=True)
class LiveRow:
    """A record beside its commitment and its subject's reference."""

    record: Record
    commitment: bytes
    subject: str


@dataclass(frozen=True)
class LiveData:
    """What a dataset offers for training; `ignored` rows of its file are not recorded, or not to be used."""

    dataset: DatasetInfo
    rows: tuple[LiveRow, ...]
    ignored: int


def live_records(store: Store, name: str) -> list[Record]:
    """The records of a dataset that may be trained on, in the order of its file, invented people last. See `live_data`."""
    return [row.record for row in live_data(store, name).rows]


def entombed(store: Store, name: str) -> set[bytes]:
    """The commitments of a dataset's records that must never be trained on again. Raises: UnknownName."""
    with store.database.read() as session:
        row = dataset_row(session, name)
        return set(session.scalars(select(TombstoneRow.commitment).where(TombstoneRow.dataset_id == row.id)))


def live_data(store: Store, name: str, besides: Collection[bytes] = ()) -> LiveData:
    """Read a dataset's file again, and its invented people, and keep the rows that are in the manifest and not entombed.

    Rows of the commitments `besides` are there too although they are entombed, as long as the manifest has them: what else
    learned from people must be found while they leave.

    A row of an erased person cannot even be committed to, since their key is gone; so it never matches,
    however often the file brings it back.

    Raises: UnknownName; InvalidData, if the file is at fault; DigestMismatch, if recorded rows are missing or
    changed.
    """
    with store.database.read() as session:
        row = dataset_row(session, name)
        info = dataset(store, name)
        found = select(SubjectRow.handle, SubjectRow.ref).where(SubjectRow.dataset_id == row.id)
        refs = {handle: ref for handle, ref in session.execute(found) if handle is not None}
        buried = entombed(store, name)
        manifest = read_manifest(store.manifests, info.manifest)
    retained = {c: ref for c, ref in manifest.items() if c not in buried or c in besides}
    keys = store.keys.subjects.all()
    ref_of: dict[str, str | None] = {}
    rows, ignored = [], 0
    planted = read_planted(store, name)
    for record in chain(read_records(source_path(store, info), info.columns), planted.records if planted else ()):
        if record.subject not in ref_of:
            ref_of[record.subject] = refs.get(store.keys.handle(record.subject))
        ref = ref_of[record.subject]
        if ref is not None and ref in keys and (c := recorded_commitment(keys[ref], name, record, retained)):
            rows.append(LiveRow(record, c, ref))
        else:
            ignored += 1
    if missing := len(retained) - len(rows):
        n_keyless = sum(ref not in keys for ref in retained.values())
        raise _mismatch(info, missing, len(retained), n_keyless, lost_planted(store, name))
    return LiveData(info, tuple(rows), ignored)


def _mismatch(info: DatasetInfo, missing: int, n_retained: int, n_keyless: int, lost: str) -> DigestMismatch:
    if n_keyless:
        return DigestMismatch(
            f"{n_keyless} of {n_retained} recorded rows of dataset '{info.name}' belong to subjects "
            "whose key is missing; restore keys/subjects.db from its backup"
        )
    if lost:
        return DigestMismatch(
            f"{missing} of {n_retained} recorded rows of dataset '{info.name}' are missing, and so is {lost}, which holds "
            "its invented people; restore that file from a backup"
        )
    by_place = (
        "; without an id column, removing a line renames all after it: put it back, or empty its text"
        if info.columns.id is None
        else ""
    )
    return DigestMismatch(
        f"{missing} of {n_retained} recorded rows of dataset '{info.name}' are missing from {info.source} "
        f"or changed; restore the file as it was when it was added, or add it under another name{by_place}"
    )
