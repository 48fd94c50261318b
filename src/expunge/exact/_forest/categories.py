"""From categories to codes that no record decides: a hash of the category itself, then one keyed by salt and column.

So a category has its code whether others are there or not, and one that vanishes leaves no gap; there is no list of
categories. Two of a column share a code with probability 1/65,536, and are one category then.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from expunge.core.errors import InvalidParameter
from expunge.core.seeds import derived_seed
from expunge.exact._learner.category import category

Columns = NDArray[np.int64]
NUMBERS = 2**52  # of categories, each a whole number that float64 holds


def declared_columns(categorical_features: Any, d: int, names: Any = None) -> Columns:
    """The columns that hold categories, ascending, from their places, their names or a mask.

    Raises: InvalidParameter.

    >>> declared_columns(["colour"], 2, ["size", "colour"]), declared_columns([True, False], 2), declared_columns([-1], 2)
    (array([1]), array([0]), array([1]))
    """
    given = np.asarray([] if categorical_features is None else categorical_features)
    if given.ndim == 1 and given.dtype.kind in "OU" and all(isinstance(name, str) for name in given.tolist()):
        if unknown := set(given.tolist()) - set([] if names is None else list(names)):
            raise InvalidParameter(
                f"categorical_features names {sorted(unknown)}, which are no columns of these records; "
                + ("give places, the records have no names of columns" if names is None else "check the spelling")
            )
        given = np.isin(np.asarray(names, dtype=object), given.astype(object))
    if given.shape == (d,) and given.dtype == bool:
        return np.flatnonzero(given)
    if given.size == 0:
        return np.zeros(0, np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu" or not ((given >= -d) & (given < d)).all():
        raise InvalidParameter(
            f"categorical_features must hold places in 0..{d - 1}, names, or True or False for each column of "
            f"n_features={d}; got {categorical_features!r}"
        )
    return np.unique(given.astype(np.int64) % d)


def numbered(X: Any, columns: Sequence[int] | Columns) -> NDArray[np.float64]:
    """Rows as numbers: the categories in these columns by a hash of what they are, all else as it is.

    Raises: ValueError, for what is no finite number in another column; NoCategory.
    """
    rows = np.empty(X.shape)
    rest = np.setdiff1d(np.arange(X.shape[1]), columns)
    if len(rest):
        rows[:, rest] = check_array(X[:, rest], dtype=np.float64)
    known: dict[Any, float] = {}
    for j in columns:
        rows[:, j] = [_number(value, known) for value in X[:, j].tolist()]
    return rows


def _number(value: Any, known: dict[Any, float]) -> float:
    plain = category(value)
    written = repr(plain)
    if written not in known:
        known[written] = float(
            int.from_bytes(sha256(written.encode("utf-8", "surrogatepass")).digest()[:8], "big") % NUMBERS
        )
    return known[written]


def keys(salt: bytes, columns: Columns) -> NDArray[np.uint64]:
    """What the codes of a column's categories are keyed by."""
    return np.array([derived_seed(salt, "forest categories", j) for j in columns.tolist()], dtype=np.uint64)


def coded(numbers: NDArray[np.float64], keys: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Codes of numbered categories, [n, columns]; SplitMix64 (Steele, Lea, Flood 2014) of number and key."""
    x = (numbers.astype(np.uint64) ^ keys) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    codes: NDArray[np.uint16] = ((x ^ (x >> np.uint64(31))) >> np.uint64(48)).astype(np.uint16)
    return codes
