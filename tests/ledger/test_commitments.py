import hashlib
import hmac
import struct

from hypothesis import given
from hypothesis import strategies as st

from expunge.core import Record
from expunge.ledger.commitments import commitment, earlier_commitment, recorded_commitment

KEY = b"k" * 32
RECORD = Record("r-1", "Ada", "Where?", "London")


def _hmac(*parts: str) -> bytes:
    """All lengths, then all parts: RFC 2104 as the standard library has it."""
    data = [part.encode() for part in parts]
    message = struct.pack(f">{len(data)}Q", *map(len, data)) + b"".join(data)
    return hmac.new(KEY, message, hashlib.sha256).digest()


def test_the_commitment_is_the_formula() -> None:
    whose = hmac.new(KEY, struct.pack(">Q", 6) + b"expunge/person/v2people", hashlib.sha256).digest()
    of_record = _hmac("expunge/rec/v2", "people", "r-1", "Where?", "London")
    assert commitment(KEY, "people", RECORD) == whose[:8] + of_record[:24]


def test_the_commitment_of_earlier_releases_is_theirs() -> None:
    message = b""
    for part in ("expunge/rec/v1", "people", "r-1", RECORD.content):
        message += struct.pack(">Q", len(part)) + part.encode()
    assert earlier_commitment(KEY, "people", RECORD) == hmac.new(KEY, message, hashlib.sha256).digest()


def test_every_part_counts_and_parts_do_not_run_into_each_other() -> None:
    for commit in (commitment, earlier_commitment):
        made = {
            commit(key, name, Record(id, "s", q, a))
            for key in (b"k" * 32, b"l" * 32)
            for name, id in (("ab", "c"), ("a", "bc"))
            for q, a in (("x", "y"), ("xy", ""))
        }
        assert len(made) == 8


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)), min_size=2, unique=True))
def test_a_persons_commitments_begin_alike_and_differ(parts: list[tuple[str, str, str]]) -> None:
    made = [commitment(KEY, "people", Record(id, "s", q, a)) for id, q, a in parts]
    assert len({c[:8] for c in made}) == 1
    assert len(set(made)) == len(parts)
    elsewhere = [commitment(KEY, "orders", Record(id, "s", q, a)) for id, q, a in parts]
    assert not {c[:8] for c in made} & {c[:8] for c in elsewhere}


def test_a_recorded_commitment_is_found_whichever_release_made_it() -> None:
    for made in (commitment(KEY, "people", RECORD), earlier_commitment(KEY, "people", RECORD)):
        assert recorded_commitment(KEY, "people", RECORD, {made}) == made
    assert recorded_commitment(b"l" * 32, "people", RECORD, {made}) is None
