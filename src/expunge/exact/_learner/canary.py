"""A fixed table, made without any record, on which a learner does a small piece of its work: the canary of its recipe.

It has the columns of the records, by number and type, and none of their values. Whatever else decides bits (processor,
kernels, versions, modes, settings of the process) shows in what is learned from it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ROWS = 64
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove")


def fixed_rows(like: Any) -> Any:
    """64 rows of the form of these records: a list of texts, a sparse matrix, or an array.

    >>> fixed_rows(np.zeros((3, 2)))[:2].round(4).tolist()
    [[0.0, 3.0641], [1.8856, 1.1785]]
    """
    if isinstance(like, list):
        return [" ".join(_WORDS[(i + k * k) % len(_WORDS)] for k in range(1 + i % 5)) for i in range(ROWS)]
    shape = (ROWS, *like.shape[1:])
    if sparse.issparse(like):
        step = 1 + shape[1] // 50  # some fifty numbers a row, however wide the matrix is
        i, j = (a.ravel() for a in np.meshgrid(np.arange(ROWS), np.arange(0, shape[1], step), indexing="ij"))
        columns = (j + i) % shape[1]
        return sparse.csr_matrix((_numbers(i, j).astype(like.dtype), (i, columns)), shape=shape)
    columns = [fixed_column(like.dtype, k) for k in range(int(np.prod(shape[1:])))]
    return np.column_stack(columns).reshape(shape)


def fixed_column(dtype: np.dtype[Any], k: int) -> NDArray[Any]:
    """64 values of this type, other ones for another k: words for objects; 0 and 1 for whole numbers, perhaps indices."""
    i = np.arange(ROWS)
    if dtype.kind == "O":
        return np.array(_WORDS, dtype=object)[(i * (k + 1)) % 5]
    return ((i + k) % 2 if dtype.kind in "iub" else _numbers(i, k)).astype(dtype)


def fixed_targets(classes: bool, several: bool = False) -> NDArray[Any]:
    """Two classes, or values of a regression; `several` targets are two columns."""
    i = np.arange(ROWS)
    y = (i * i // 3) % 2 if classes else _numbers(i, 1) - 1.5
    return np.column_stack([y, y[::-1]]) if several else y


def _numbers(i: Any, j: Any) -> NDArray[np.float64]:
    """From 0 to 4, with no pattern that a column repeats, and of as many digits as there are: sums of short numbers are the
    same in every order and precision.
    """
    return np.asarray((i * 7 + j * 13 + i * i * (j + 1) % 5) % 17 * 0.2357, dtype=np.float64)
