from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.earlier_files import write_earlier

from expunge.core.errors import DigestMismatch
from expunge.ledger import partitions
from expunge.ledger.content import file_of
from expunge.ledger.members import Sought, count_found, find_members, read_members, write_members
from expunge.ledger.read_digest import read_digest

PERSONS = [bytes([n]) * 8 for n in (0, 7, 130, 255)]
COMMITMENTS = st.tuples(st.sampled_from(PERSONS), st.integers(0, 9)).map(
    lambda of: of[0] + sha256(bytes([of[1]])).digest()[:24]  # as HMACs, they look random
)
MEMBERS = st.dictionaries(COMMITMENTS, st.integers(1, 5))


@pytest.mark.parametrize("rows_in_a_partition", [1, 1 << 14])
@pytest.mark.parametrize("earlier", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(units=st.lists(MEMBERS, min_size=1, max_size=3), wanted=st.sets(COMMITMENTS))
def test_what_units_hold_is_what_their_rows_say(
    units: list[dict[bytes, int]], wanted: set[bytes], rows_in_a_partition: int, earlier: bool, tmp_path: Path
) -> None:
    """Of everything somebody has, of a part of it, of people who share units: the same as a search of all rows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(partitions, "_ROWS", rows_in_a_partition)
        digests = [
            write_earlier(tmp_path, ("commitment", "slice"), unit.items())
            if earlier
            else write_members(tmp_path, unit.items())
            for unit in units
        ]
        sought = Sought.of(wanted)
        found = find_members(tmp_path, digests, sought)
        for unit, digest in zip(units, digests, strict=True):
            assert read_members(tmp_path, digest) == unit
            assert read_digest(file_of(tmp_path, digest)) == digest
            hits = {c: k for c, k in unit.items() if c in wanted}
            assert read_members(tmp_path, digest, wanted) == hits
            assert (digest in found) == bool(hits)
            if hits:
                assert (found[digest].n_records, found[digest].first_slice) == (len(hits), min(hits.values()))
        together = {c for unit in units for c in unit if c in wanted}
        held = [found[digest] for digest in digests if digest in found]
        assert (count_found(sought, held) if held else 0) == len(together)


def test_a_member_list_that_is_altered_or_missing_is_refused_though_it_was_read_before(tmp_path: Path) -> None:
    members = {person + bytes(24): 1 for person in PERSONS}
    digest, other = write_members(tmp_path, members.items()), write_members(tmp_path, [(b"x" * 32, 1)])
    sought = Sought.of({PERSONS[1] + bytes(24)})
    assert find_members(tmp_path, [digest], sought)[digest].n_records == 1
    file_of(tmp_path, digest).write_bytes(file_of(tmp_path, other).read_bytes())
    with pytest.raises(DigestMismatch, match="was altered"):
        find_members(tmp_path, [digest], sought)
    file_of(tmp_path, digest).unlink()
    with pytest.raises(DigestMismatch, match="is recorded and missing"):
        find_members(tmp_path, [digest], sought)


def test_a_member_list_of_which_a_part_was_taken_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata are the recorded ones, and the rows that are left are too."""
    monkeypatch.setattr(partitions, "_ROWS", 1)
    digest = write_members(tmp_path, [(person + bytes(24), 1) for person in PERSONS])
    path = file_of(tmp_path, digest)
    whole, recorded = pq.read_table(path), pq.read_metadata(path).metadata[b"expunge.partitions"]
    with pq.ParquetWriter(path, whole.schema) as writer:
        writer.write_table(whole.slice(1))
        writer.add_key_value_metadata({b"expunge.partitions": recorded})
    for read in (
        lambda: find_members(tmp_path, [digest], Sought.of({PERSONS[0] + bytes(24)})),
        lambda: read_members(tmp_path, digest),
    ):
        with pytest.raises(DigestMismatch, match=r"was altered|damaged"):
            read()
    assert read_digest(path) != digest


def test_the_same_rows_in_any_order_give_the_same_file(tmp_path: Path) -> None:
    rows = [(person + bytes([n]) * 24, n + 1) for person in PERSONS for n in range(3)]
    digest = write_members(tmp_path, rows)
    first = file_of(tmp_path, digest).read_bytes()
    assert write_members(tmp_path, reversed(rows)) == digest
    assert file_of(tmp_path, digest).read_bytes() == first
    assert write_members(tmp_path, [(c, 1) for c, _ in rows]) != digest
