"""Where a record goes: a keyed hash of its subject, and nothing else.

The place of one subject says nothing about another, and does not move when others leave. Without the salt nobody can
choose a name that lands in a given unit, nor compute who lives where. A record about several subjects lives with one
of them, the one whose keyed hash is smallest; it leaves when any of them does, so its place never changes.
"""

import hashlib
import hmac
from collections.abc import Sequence

from expunge.core import Record

SHARD, SLICE = "shard", "slice"


def place(subject: str, salt: bytes, n_places: int, what: str) -> int:
    """A place in 0..n_places-1 by HMAC-SHA256; the bias of the modulus is below n / 2^64.

    >>> place("u-17", b"salt", 8, SHARD) == place("u-17", b"salt", 8, SHARD)
    True
    """
    digest = hmac.digest(salt, f"expunge/{what}/v1\0".encode() + subject.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") % n_places


def placed_with(record: Record, salt: bytes) -> str:
    """The one of a record's subjects that it lives with.

    >>> one, other = Record("1", "a", "q", "x", also=("b",)), Record("1", "b", "q", "x", also=("a",))
    >>> placed_with(one, b"salt") == placed_with(other, b"salt")
    True
    """
    if not record.also:
        return record.subject
    return min(record.subjects, key=lambda s: (hmac.digest(salt, b"expunge/lead/v1\0" + s.encode(), hashlib.sha256), s))


def member_id(record: Record, salt: bytes) -> str:
    """An opaque name for a record's id and content, for state that is saved: meaningless without the salt.

    With several subjects they are named too: a record that comes back without one of them is another record.
    """
    several = "".join(f"\0{s}" for s in sorted(record.subjects)) if record.also else ""
    named = f"expunge/member/v1\0{record.id}\0{record.content}{several}"
    return hmac.new(salt, named.encode(), hashlib.sha256).hexdigest()


def cut(records: Sequence[Record], salt: bytes, shards: int, slices: int) -> dict[int, list[list[Record]]]:
    """Records of each non-empty shard, by slice; each slice in an order that other records do not change."""
    placed: dict[int, list[list[Record]]] = {}
    for record in records:
        subject = placed_with(record, salt)
        shard = placed.setdefault(place(subject, salt, shards, SHARD), [[] for _ in range(slices)])
        shard[place(subject, salt, slices, SLICE)].append(record)
    for shard in placed.values():
        for part in shard:
            part.sort(key=lambda r: (member_id(r, salt), r.id))
    return dict(sorted(placed.items()))


def stage_epochs(epochs: int, slices: int) -> list[int]:
    """Passes over slices 1..r at stage r, so that all stages together cost as much as `epochs` passes over everything.

    Source: Bourtoule et al. (2021), SISA, arXiv:1912.03817: 2e / (R + 1) a stage; fractions are carried.

    >>> stage_epochs(25, 1), stage_epochs(25, 2)
    ([25], [16, 17])
    """
    share = 2 * epochs / (slices + 1)
    return [int(share * (r + 1) + 1e-9) - int(share * r + 1e-9) for r in range(slices)]


def visits(sizes: Sequence[int], passes: Sequence[int] | None, first: int = 1) -> int:
    """Records that stages `first`.. of a unit visit: stage k passes over slices 1 to k, which hold so many records each.

    >>> visits([10, 10], [20, 20]), visits([10, 10], [20, 20], first=2), visits([10], None)
    (600, 400, 10)
    """
    return sum(n * sum(sizes[: r + 1]) for r, n in enumerate(passes or [1] * len(sizes)) if r >= first - 1)
