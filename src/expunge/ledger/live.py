"""The records that may be trained on now: in the file, in the manifest, and not entombed."""

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sqlalchemy import select

from expunge.core import Record
from expunge.core.errors import DigestMismatch
from expunge.ledger.asked_for import asked_for
from expunge.ledger.commitments import commitment, recorded_commitment
from expunge.ledger.datasets import DatasetInfo, dataset, dataset_row, source_path
from expunge.ledger.manifests import read_manifest
from expunge.ledger.planted import lost_planted, read_planted
from expunge.ledger.shared import People, companies
from expunge.ledger.sources import read_records
from expunge.ledger.store import Store
from expunge.ledger.tables import TombstoneRow


@dataclass(frozen=True)
class LiveRow:
    """A record beside its commitment, its subject's reference, and those of everybody it is about, in the record's order.

    Of a record about several people `subject` is the reference of their company (`expunge.ledger.shared`).
    """

    record: Record
    commitment: bytes
    subject: str
    refs: tuple[str, ...]


@dataclass(frozen=True)
class LiveData:
    """What a dataset offers for training; `ignored` rows of its file are not recorded, or not to be used.

    Of the ignored, `unrecorded` are in no manifest: new ones, or those of erased people, whom nobody can recognise. `gone` are
    recorded and no longer in the file, which is expected: an open request is about them, or they are entombed.
    """

    dataset: DatasetInfo
    rows: tuple[LiveRow, ...]
    ignored: int
    unrecorded: int = 0
    gone: frozenset[bytes] = frozenset()


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

    Rows that an open request is about may be gone from the file, for their owner deletes them first.

    Raises: UnknownName; InvalidData, if the file is at fault; DigestMismatch, if other recorded rows are missing or changed.
    """
    with store.database.read():  # of one moment
        info = dataset(store, name)
        buried = entombed(store, name)
        manifest = read_manifest(store.manifests, info.manifest)
    retained = {c: ref for c, ref in manifest.items() if c not in buried or c in besides}
    rows, ignored, unrecorded = [], 0, 0
    for one in committed(store, info, recorded(store, info, source_path(store, info)), manifest):
        c = one.commitment
        if c in retained:
            rows.append(LiveRow(one.record, c, retained[c], tuple(filter(None, one.refs))))
        else:
            ignored += 1
            unrecorded += c not in manifest and c not in buried
    missing = retained.keys() - {row.commitment for row in rows}
    if missing - buried and (unexpected := missing - buried - asked_for(store, name).keys()):
        n_keyless = _n_keyless(store, name, retained.values())
        raise _mismatch(info, len(unexpected), len(retained), n_keyless, lost_planted(store, name))
    return LiveData(info, tuple(rows), ignored, unrecorded, frozenset(missing))


def recorded(store: Store, info: DatasetInfo, source: Path) -> Iterator[Record]:
    """The records of a file that is, or will be, a dataset's source, and its invented people. Raises: InvalidData."""
    planted = read_planted(store, info.name)
    return chain(read_records(source, info.columns), planted.records if planted else ())


@dataclass(frozen=True)
class Committed:
    """A record, the references of everybody it is about (None of nobody known), what manifests have it under, and its commitment.

    The last two are None where somebody is not known, or all are not known together.
    """

    record: Record
    refs: tuple[str | None, ...]
    subject: str | None
    commitment: bytes | None


def committed(
    store: Store, info: DatasetInfo, records: Iterable[Record], manifest: Container[bytes]
) -> Iterator[Committed]:
    """Each record beside its commitment, in a dataset as it is now: the one that is recorded, where one is."""
    with store.database.read() as session:
        people = People(store, session, dataset_row(session, info.name).id)
    buried = entombed(store, info.name)
    for record in records:
        refs = people.refs(record)
        subject = people.subject(refs)
        found = None
        if subject is not None:
            key = people.key(refs)
            found = recorded_commitment(key, info.name, record, manifest)
            found = found or recorded_commitment(key, info.name, record, buried) or commitment(key, info.name, record)
        yield Committed(record, refs, subject, found)


def _n_keyless(store: Store, name: str, subjects: Iterable[str]) -> int:
    """How many of these references have no key, or are of a company in which somebody has none."""
    keys = store.keys.subjects.all().keys()
    with store.database.read() as session:
        together = companies(session, dataset_row(session, name).id)
    return sum(not keys >= together.get(ref, {ref}) for ref in subjects)


def planted_commitments(store: Store, info: DatasetInfo, manifest: Container[bytes]) -> set[bytes]:
    """Of a dataset's invented people, whose records are in no file of the user's."""
    planted = read_planted(store, info.name)
    found = committed(store, info, planted.records if planted else (), manifest)
    return {one.commitment for one in found if one.commitment is not None}


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
    return missing_rows(info, missing, n_retained, info.source)


def missing_rows(
    info: DatasetInfo, missing: int, n_retained: int, source: str, *, follow: bool = False
) -> DigestMismatch:
    """What is to be said of recorded rows that a file lacks, of nobody who asked to leave. `follow`: lines were matched already."""
    by_place = (
        f"; without an id column, removing a line renames all after it: `expunge data follow {source} --name {info.name}` "
        "matches the lines by what they hold"
        if info.columns.id is None and not follow
        else ""
    )
    withdraw = f"data follow {source}" if info.columns.id is None else f"data add {source} with the same columns and"
    return DigestMismatch(
        f"{missing} of {n_retained} recorded rows of dataset '{info.name}' are missing from {source} or changed, and nobody "
        f"asked to have them erased; restore the file as it was when it was added, or, where they were taken out for good, say "
        f"so: `expunge {withdraw} --name {info.name} --withdrawn`{by_place}"
    )
