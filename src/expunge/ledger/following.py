"""A dataset's file that moved, or lost lines: matched with what is recorded by what it holds and in which order."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from expunge.core import Record
from expunge.ledger.asked_for import records_asked_for
from expunge.ledger.commitments import recorded_commitment
from expunge.ledger.datasets import (
    DatasetInfo,
    dataset,
    dataset_history,
    dataset_row,
    newest_version,
    seen_now,
    stored_path,
)
from expunge.ledger.growing import ranges
from expunge.ledger.live import committed, entombed, missing_rows, planted_commitments
from expunge.ledger.manifests import read_manifest
from expunge.ledger.rows import format_of
from expunge.ledger.shared import People
from expunge.ledger.sources import line_numbers, read_records
from expunge.ledger.store import Store


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What a dataset's new file holds of what is recorded.

    `n_gone` rows are gone that open requests are about, `withdrawn` are gone that nobody asked for, and `n_unrecorded` lines
    are in no manifest: new ones, or of people who were erased.
    """

    dataset: DatasetInfo
    n_matched: int
    n_gone: int
    n_unrecorded: int
    withdrawn: frozenset[bytes]


def follow_file(store: Store, name: str, source: Path, *, withdrawn: bool = False) -> Followed:
    """Let a dataset's source be this file from now on. The records stay the recorded ones; nothing is taken in.

    Without an id column a record's name is its line's number. Lines are matched in their order by what they hold, so that lines
    may have been taken out anywhere, and each goes by the number that it had. On any error nothing has changed.

    Raises: UnknownName; InvalidData, if the file is at fault; DigestMismatch, if recorded rows have no line, without
    `withdrawn`.
    """
    with store.transaction() as session:
        row, info = dataset_row(session, name), dataset(store, name)
        manifest = read_manifest(store.manifests, newest_version(session, row).manifest)
        invented = planted_commitments(store, info, manifest)
        if info.columns.id is None:
            numbers, matched = _in_order(store, info, People(store, session, row.id), source, manifest)
            n_lines = len(numbers) - 1
            row.line_numbers = ranges(numbers)
        else:
            lines = [one.commitment for one in committed(store, info, read_records(source, info.columns), manifest)]
            matched, n_lines = {c for c in lines if c is not None and c in manifest}, len(lines)
        buried = entombed(store, name)
        missing = manifest.keys() - matched - invented - buried
        expected = missing & records_asked_for(session, row, manifest).keys()
        unexpected = frozenset(missing - expected)
        if unexpected and not withdrawn:
            raise missing_rows(info, len(unexpected), len(manifest), str(source), follow=True)
        row.source, row.format = stored_path(store.root, source), format_of(source)
        row.source_seen = seen_now(source) if len(matched) == n_lines else None
        session.flush()
        return Followed(
            dataset=dataset(store, name),
            n_matched=len(matched),
            n_gone=len(expected),
            n_unrecorded=n_lines - len(matched),
            withdrawn=unexpected,
        )


def _in_order(
    store: Store, info: DatasetInfo, people: People, source: Path, manifest: Mapping[bytes, str]
) -> tuple[list[int], set[bytes]]:
    """The number of each line, and that of the line which would follow; and the commitments that lines were found for.

    A line that matches nothing behind the lines before it gets a number that none had.
    """
    before = list(islice(line_numbers(info.columns.lines), _n_lines(store, info)))
    fresh = max((*before, 0)) + 1
    left = Counter(manifest.values())
    numbers, matched, at = list[int](), set[bytes](), 0
    columns = replace(info.columns, lines=((1, None),))
    for record in read_records(source, columns):
        refs, found = people.refs(record), None
        ref = people.subject(refs)
        if ref is not None and left[ref]:
            found = next(
                (
                    (k, c)
                    for k, c in _numbered(people.key(refs), info.name, record, before, at, manifest)
                    if c is not None and c not in matched
                ),
                None,
            )
        if found is None or ref is None:
            numbers.append(fresh)
            fresh += 1
        else:
            numbers.append(before[found[0]])
            matched.add(found[1])
            left[ref] -= 1
            at = found[0] + 1
    return [*numbers, fresh], matched


def _numbered(
    key: bytes, name: str, record: Record, numbers: list[int], first: int, manifest: Mapping[bytes, str]
) -> Iterator[tuple[int, bytes | None]]:
    """What a record's commitment is under each number from a place on; None where it is not recorded."""
    for k in range(first, len(numbers)):
        yield k, recorded_commitment(key, name, replace(record, id=f"row-{numbers[k]}"), manifest)


def _n_lines(store: Store, info: DatasetInfo) -> int:
    """How many lines have a number: of a file as it was added as many as it had records."""
    closed = sum(last - first + 1 for first, last in info.columns.lines if last is not None)
    return closed or dataset_history(store, info.name)[0].n_records
