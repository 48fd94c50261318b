"""The commitment to a record: nobody can tell whose it is, or what it says, without the subject's key."""

import hmac
import struct
from collections.abc import Container
from hashlib import sha256
from typing import NamedTuple

from expunge.core import Record

PERSON = 8  # bytes that the commitments of one person in one dataset begin with
_TAIL = 32 - PERSON
_DOMAIN = b"expunge/rec/v2"
_LENGTHS = struct.Struct(">QQQ").pack
_IPAD, _OPAD = bytes(b ^ 0x36 for b in range(256)), bytes(b ^ 0x5C for b in range(256))


def commitment(key: bytes, dataset: str, record: Record) -> bytes:
    """32 bytes: 8 of the person in this dataset, then 24 of the record, both of HMAC-SHA256 under the subject's key.

    While the key lives it shows that exactly this record was in the dataset; after that it points at nobody. What a person's
    commitments begin with brings them together wherever commitments are sorted, so that a person's are read without the
    others.

    >>> record = Record("r1", "Ada", "Where?", "London")
    >>> commitment(bytes(32), "people", record) == commitment(bytes(32), "orders", record)
    False
    """
    committing = Committing(dataset)
    return committing.commitment(committing.person(key), record.id, record.question, record.answer)


def earlier_commitment(key: bytes, dataset: str, record: Record) -> bytes:
    """As datasets of earlier releases have it: nothing in it is the same for two records of a person."""
    # Length first, so that ("ab", "c") and ("a", "bc") differ.
    parts = [part.encode() for part in ("expunge/rec/v1", dataset, record.id, record.content)]
    message = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    return hmac.digest(key, message, "sha256")


def recorded_commitment(key: bytes, dataset: str, record: Record, recorded: Container[bytes]) -> bytes | None:
    """Which commitment to a record is among these, of this release or of an earlier one; None: it is not recorded."""
    for of_record in (commitment, earlier_commitment):
        if (found := of_record(key, dataset, record)) in recorded:
            return found
    return None


class Person(NamedTuple):
    """What all commitments of a person in a dataset begin with, and their key as HMAC has it (RFC 2104): two blocks."""

    prefix: bytes
    inner: bytes
    outer: bytes


class Committing:
    """Commits to the records of one dataset. An HMAC is two calls of SHA-256 here: this is done for every record."""

    def __init__(self, dataset: str) -> None:
        name = dataset.encode()
        self._whose = struct.pack(">Q", len(name)) + b"expunge/person/v2" + name
        self._lengths = struct.pack(">QQ", len(_DOMAIN), len(name))
        self._start = _DOMAIN + name

    def person(self, key: bytes) -> Person:
        inner, outer = hmac_blocks(key)
        return Person(sha256(outer + sha256(inner + self._whose).digest()).digest()[:PERSON], inner, outer)

    def commitment(self, person: Person, id: str, question: str, answer: str) -> bytes:
        prefix, inner, outer = person
        of_id, of_question, of_answer = id.encode(), question.encode(), answer.encode()
        # All lengths first, so that ("ab", "c") and ("a", "bc") differ.
        lengths = _LENGTHS(len(of_id), len(of_question), len(of_answer))
        message = b"".join((inner, self._lengths, lengths, self._start, of_id, of_question, of_answer))
        return prefix + sha256(outer + sha256(message).digest()).digest()[:_TAIL]


def hmac_blocks(key: bytes) -> tuple[bytes, bytes]:
    """With what HMAC-SHA256 begins its inner and its outer hash, for a key of at most 64 bytes.

    >>> inner, outer = hmac_blocks(b"key")
    >>> sha256(outer + sha256(inner + b"text").digest()).digest() == hmac.digest(b"key", b"text", "sha256")
    True
    """
    block = key.ljust(64, b"\0")
    return block.translate(_IPAD), block.translate(_OPAD)
