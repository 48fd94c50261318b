"""How far two sequences are the same: ids of two prompts, keys of the stages of two models."""

from collections.abc import Sequence
from typing import Any


def n_alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many of the first items are the same.

    >>> n_alike("abcd", "abx"), n_alike([1, 2], [1, 2, 3])
    (2, 2)
    """
    pairs = zip(one, other, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
