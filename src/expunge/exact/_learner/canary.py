"""A fixed table, made without any record, on which a learner does a small piece of its work: the canary of its recipe.

It has the columns of the records, by number and type, and none of their values. Whatever else decides bits (processor,
kernels, versions, modes, settings of the process) shows in what is learned from it.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ROWS = 64
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove")


def fixed_rows(like: Any) -> Any:
    """64 rows of the form of these records: a list of texts, a sparse matrix, or an array.

    >>> fixed_rows(np.zeros((3, 2)))[:2].tolist()
    [[0.0, 3.25], [2.0, 1.25]]
    """
    if isinstance(like, list):
        return [" ".join(_WORDS[(i + k * k) % len(_WORDS)] for k in range(1 + i % 5)) for i in range(ROWS)]
    shape = (ROWS, *like.shape[1:])
    if sparse.issparse(like):
        step = 1 + shape[1] // 50  # some fifty numbers a row, however wide the matrix is
        i, j = (a.ravel() for a in np.meshgrid(np.arange(ROWS), np.arange(0, shape[1], step), indexing="ij"))
        columns = (j + i) % shape[1]
        return sparse.csr_matrix((_numbers(i, j).astype(like.dtype), (i, columns)), shape=shape)
    i, j = np.arange(ROWS)[:, None], np.arange(int(np.prod(shape[1:])))[None, :]
    if like.dtype == object:
        rows = np.empty((ROWS, j.size), dtype=object)
        for k in range(j.size):
            numbers = all(isinstance(v, int | float | np.number) for v in like[:, k])
            rows[:, k] = _numbers(i[:, 0], k) if numbers else np.array(_WORDS, dtype=object)[(i[:, 0] * (k + 1)) % 5]
        return rows
    integers = np.issubdtype(like.dtype, np.integer)  # perhaps indices: 0 and 1 are the safest
    return ((i + j) % 2 if integers else _numbers(i, j)).astype(like.dtype).reshape(shape)


def fixed_targets(kind: str | None) -> NDArray[Any] | None:
    """Two classes, values of a regression, or none."""
    i = np.arange(ROWS)
    return {"classifier": (i * i // 3) % 2, "regressor": _numbers(i, 1) - 1.5}.get(kind or "")


def canary(learned_from_fixed: Callable[[], str]) -> str | None:
    """The digest of what was learned from fixed rows; None where the learner cannot learn from them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return learned_from_fixed()
    except Exception:  # noqa: BLE001 - whatever an estimator says against a table that is not its own
        return None


def _numbers(i: Any, j: Any) -> NDArray[np.float64]:
    """Quarters from 0 to 4, with no pattern that a column repeats."""
    return np.asarray((i * 7 + j * 13 + i * i * (j + 1) % 5) % 17 / 4, dtype=np.float64)
