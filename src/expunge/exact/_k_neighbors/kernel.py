"""The nearest records by brute force, with the same answer whatever else was ever held.

Distances are summed feature by feature, and records compared in their order; nothing is reordered for speed. The inner
loop runs over records: each has a sum of its own, so it runs in the processor's vectors all the same.
Shapes: Q [m, d] queries, X [n, d] records.
"""

import numpy as np
from numba import njit

_BLOCK = 256  # records whose distances to a query fit in the processor's first cache


@njit(cache=True)
def nearest_records(Q, X, alive, k):  # type: ignore[no-untyped-def]
    """Positions of the k nearest live records and the squared distances to them, [m, k], nearest first.

    Of equally near records the one that comes first in X counts as nearer. There must be k live records.
    """
    found, far = np.zeros((len(Q), k), np.int64), np.full((len(Q), k), np.inf)
    held, total = np.zeros(len(Q), np.int64), np.empty(_BLOCK)
    for first in range(0, len(X), _BLOCK):
        last = min(first + _BLOCK, len(X))
        columns = np.ascontiguousarray(X[first:last].T)
        now = total[: last - first]
        for q in range(len(Q)):
            now[:] = 0.0
            for x in range(len(columns)):
                value, column = Q[q, x], columns[x]
                for i in range(len(now)):
                    step = column[i] - value
                    now[i] += step * step
            for i in range(len(now)):
                if alive[first + i] and (held[q] < k or now[i] < far[q, k - 1]):
                    place = min(held[q], k - 1)
                    while place > 0 and far[q, place - 1] > now[i]:
                        far[q, place], found[q, place] = far[q, place - 1], found[q, place - 1]
                        place -= 1
                    far[q, place], found[q, place] = now[i], first + i
                    held[q] = min(held[q] + 1, k)
    return found, far
