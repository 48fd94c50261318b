"""The commitment to a record: nobody can tell whose it is, or what it says, without the subject's key."""

import hmac
import struct
from collections.abc import Container
from hashlib import sha256

from expunge.core import Record

PERSON = 8  # bytes that the commitments of one person in one dataset begin with
_BLOCK = 64  # of SHA-256
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
    return Committing(dataset).person(key).commitment(record.id, record.question, record.answer)


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


class Committing:
    """Commits to the records of one dataset."""

    def __init__(self, dataset: str) -> None:
        name = dataset.encode()
        self.whose = struct.pack(">Q", len(name)) + b"expunge/person/v2" + name
        self.lengths = struct.pack(">QQ", len(b"expunge/rec/v2"), len(name))
        self.start = b"expunge/rec/v2" + name

    def person(self, key: bytes) -> "Person":
        return Person(self, key)


class Person:
    """Commits to the records of one person: HMAC (RFC 2104) from two states that are hashed once for all records."""

    __slots__ = ("_dataset", "_inner", "_outer", "prefix")

    def __init__(self, dataset: Committing, key: bytes) -> None:
        block = key.ljust(_BLOCK, b"\0")
        self._inner, self._outer = sha256(block.translate(_IPAD)), sha256(block.translate(_OPAD))
        self._dataset = dataset
        self.prefix = self._hmac(dataset.whose)[:PERSON]

    def commitment(self, id: str, question: str, answer: str) -> bytes:
        # All lengths first, so that ("ab", "c") and ("a", "bc") differ.
        of_id, of_question, of_answer = id.encode(), question.encode(), answer.encode()
        lengths = struct.pack(">QQQ", len(of_id), len(of_question), len(of_answer))
        dataset = self._dataset
        message = dataset.lengths + lengths + dataset.start + of_id + of_question + of_answer
        return self.prefix + self._hmac(message)[: 32 - PERSON]

    def _hmac(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()
