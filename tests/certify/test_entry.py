import pytest

from expunge.certify.entry import MAX_ENTRY, encode_entry
from expunge.core.errors import InvalidData


def test_the_longest_entry_fits_two_bytes_of_length_and_one_more_does_not() -> None:
    spare = MAX_ENTRY - len(encode_entry({"type": "t", "x": ""}))
    assert len(encode_entry({"type": "t", "x": "a" * spare})) == 65535
    with pytest.raises(InvalidData, match="log a digest of it instead"):
        encode_entry({"type": "t", "x": "a" * (spare + 1)})


def test_entries_say_what_they_are() -> None:
    with pytest.raises(InvalidData, match="needs a 'type'"):
        encode_entry({"envelope_sha256": "ab"})
    with pytest.raises(InvalidData, match="canonical form"):
        encode_entry({"type": "t", "x": float("nan")})
