"""Many values in a query, a few hundred at a time: a database takes only so many in one."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(values: Collection[T], size: int = 500) -> Iterator[list[T]]:
    """The values in lists of this length, the last one shorter.

    >>> list(batched("abc", 2))
    [['a', 'b'], ['c']]
    """
    left = iter(values)
    while batch := list(islice(left, size)):
        yield batch
