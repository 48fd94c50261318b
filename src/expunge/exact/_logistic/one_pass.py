"""One pass over the records for the gradient of the logistic loss: each row is read once, used twice.

Rows are added in one order and those that have left are stepped over, so a gap changes no bit of the result.
Shapes: n records, d features, K columns of weights [K, d + 1], the intercept last.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_BLOCK = 16  # rows


@njit(cache=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def _dot(x: Any, w: Any) -> float:
    """Sum of products of a row, in as many lanes as the processor has."""
    total = 0.0
    for j in range(len(x)):
        total += x[j] * w[j]
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def loss_gradient(X: Any, codes: Any, alive: Any, centre: Any, scale: Any, W: Any, joint: bool) -> NDArray[np.float64]:
    """Sum over live rows of (probability - label) times ((x - centre) / scale, 1), [K, d + 1].

    Where the label is 1, probability - label is added up from what the other classes have: a record that is all but
    certain has a residual far below rounding of 1, and the minimum depends on it. Residuals of a record add up to 0
    over joint classes; so that rounding does not say otherwise, the most common class takes what the others leave.
    Rows are added up `_BLOCK` by `_BLOCK`, and what rounding takes from a sum of blocks is added to the next (Kahan 1965):
    the rounding of a long sum would outgrow that of its terms.
    """
    n, d = X.shape
    K, n_added = len(W), 0
    gradient, part, z, x = np.zeros((K, d + 1)), np.zeros((K, d + 1)), np.empty(K), np.empty(d)
    lost, V = np.zeros((K, d + 1)), W.copy()
    V[:, :d] /= scale  # powers of two, so that it makes no difference where they are divided by
    common = _most_common(codes, alive, K) if joint else -1
    for i in range(n):
        if not alive[i]:
            continue
        for j in range(d):
            x[j] = X[i, j] - centre[j]
        for k in range(K):
            z[k] = _dot(x, V[k]) + V[k, d]
        if joint:
            largest, others = z.max(), 0.0
            for k in range(K):
                z[k] = np.exp(z[k] - largest)
                if k != codes[i]:
                    others += z[k]
            total = others + z[codes[i]]
            z[codes[i]] = -others
            for k in range(K):
                z[k] /= total
        else:
            for k in range(K):
                if codes[i] == (k if K > 1 else 1):
                    z[k] = -1.0 / (1.0 + np.exp(z[k]))
                else:
                    z[k] = 1.0 / (1.0 + np.exp(-z[k]))
        for k in range(K):
            if k == common:
                continue
            rest = z[k]
            row = part[k]
            for j in range(d):
                row[j] += rest * x[j]
            row[d] += rest
        n_added += 1
        if n_added % _BLOCK == 0:
            _add(gradient, lost, part)
    _add(gradient, lost, part)
    if joint:
        gradient[common] = -gradient.sum(axis=0)
    gradient[:, :d] /= scale
    return gradient


@njit(cache=True)  # type: ignore[untyped-decorator]
def _add(total: Any, lost: Any, part: Any) -> None:
    """Move a part over to the total; `lost` is what rounding has added to it too much."""
    for k in range(len(total)):
        for j in range(total.shape[1]):
            y = part[k, j] - lost[k, j]
            t = total[k, j] + y
            lost[k, j] = (t - total[k, j]) - y
            total[k, j] = t
            part[k, j] = 0.0


@njit(cache=True)  # type: ignore[untyped-decorator]
def _most_common(codes: Any, alive: Any, K: int) -> int:
    """The class of most live records."""
    count = np.zeros(K, np.int64)
    for i in range(len(codes)):
        if alive[i]:
            count[codes[i]] += 1
    return int(count.argmax())
