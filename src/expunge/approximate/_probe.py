"""A few rows that stand for all of them, whatever order they are given in."""

from collections.abc import Sequence
from typing import Any

from expunge.engine import keyed_order


def probe(rows: Sequence[Any], n: int, seed: int) -> list[Any]:
    """At most `n` rows, drawn by key. The first `n` of a sorted list would be those of one subject or class.

    >>> from expunge.engine import Encoded
    >>> rows = [Encoded(str(i), (), 0) for i in range(100)]
    >>> drawn = probe(rows, 3, seed=0)
    >>> drawn == probe(rows[::-1], 3, seed=0) != rows[:3]
    True
    """
    return [rows[i] for i in keyed_order([row.id for row in rows], f"probe/{seed}".encode())[:n]]
