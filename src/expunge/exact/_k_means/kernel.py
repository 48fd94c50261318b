"""k-means on weighted points with the same bits every time: sums in the order of the points, draws from a given seed.

Source: Lloyd (1982), "Least squares quantization in PCM"; seeding by k-means++ with several candidates a step, Arthur
and Vassilvitskii (2007).
Shapes: P [n, d] points, w [n] their weights, C [k, d] centers.

Compiled without fast-math, on one thread: no sum is reordered, so nothing depends on the width of the processor's
vectors. The inner loops run over points: each has a sum of its own, so they run in vectors without reordering.
"""

import numpy as np
from numba import njit

CANDIDATES = 4  # tried at each step of the seeding; the one that lowers the inertia most is taken
_BLOCK = 256  # points whose distances fit in the processor's first cache
_CHUNK = 1 << 14  # points that are transposed at a time


@njit(cache=True)
def _draw(state):  # type: ignore[no-untyped-def]
    """The next state of SplitMix64 and a number in [0, 1) (Steele, Lea, Flood 2014)."""
    state += np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, float(z >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _picked(mass, target):  # type: ignore[no-untyped-def]
    """The first place where the running sum of `mass` passes `target`; a place of mass 0 is never picked."""
    total, last = 0.0, 0
    for i in range(len(mass)):
        if mass[i] > 0:
            total += mass[i]
            last = i
            if total > target:
                break
    return last


@njit(cache=True)
def _seeds(columns, w, k, state):  # type: ignore[no-untyped-def]
    """Places of up to k distinct points, from their coordinates [d, n], and the state of the draws."""
    d, n = columns.shape
    found = np.empty(k, np.int64)
    near = np.full(n, np.inf)  # weighted squared distance to the nearest seed
    trial, best = np.empty(n), np.empty(n)
    mass, total = w.copy(), w.sum()
    for c in range(k):
        tries = 1 if c == 0 else CANDIDATES
        lowest = np.inf
        for attempt in range(tries):
            state, u = _draw(state)
            i = _picked(mass, u * total)
            trial[:] = 0.0
            for x in range(d):
                value = columns[x, i]
                for j in range(n):
                    step = columns[x, j] - value
                    trial[j] += step * step
            left = 0.0
            for j in range(n):
                trial[j] = min(trial[j] * w[j], near[j])
                left += trial[j]
            if attempt == 0 or left < lowest:  # the first, for what is left may add up to infinity
                lowest, found[c] = left, i
                best[:] = trial
        near[:] = best
        mass, total = near, lowest
        if total <= 0:  # every point stands on a seed
            return found[: c + 1], state
    return found, state


@njit(cache=True)
def _assigned(columns, C):  # type: ignore[no-untyped-def]
    """`nearest` for the points whose coordinates are the columns, [d, n]."""
    d, n = columns.shape
    label, far, total = np.zeros(n, np.int64), np.full(n, np.inf), np.empty(_BLOCK)
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        now, best, of = total[: last - first], far[first:last], label[first:last]
        for c in range(len(C)):
            now[:] = 0.0
            for x in range(d):
                value, column = C[c, x], columns[x, first:last]
                for i in range(len(now)):
                    step = column[i] - value
                    now[i] += step * step
            for i in range(len(now)):
                of[i] = c if now[i] < best[i] else of[i]
                best[i] = min(now[i], best[i])
    return label, far


@njit(cache=True)
def nearest(P, C):  # type: ignore[no-untyped-def]
    """For each point, its nearest center (the first of equals) and the squared distance to it."""
    n = len(P)
    label, far = np.empty(n, np.int64), np.empty(n)
    for first in range(0, n, _CHUNK):
        last = min(first + _CHUNK, n)
        label[first:last], far[first:last] = _assigned(np.ascontiguousarray(P[first:last].T), C)
    return label, far


@njit(cache=True)
def means(P, w, label, C):  # type: ignore[no-untyped-def]
    """Weighted means of the points of each center, and their weights; C where a center has no points."""
    k, d = C.shape
    mean, weight = np.zeros((k, d)), np.zeros(k)
    for i in range(len(P)):
        c = label[i]
        weight[c] += w[i]
        for x in range(d):
            mean[c, x] += w[i] * P[i, x]
    for c in range(k):
        for x in range(d):
            mean[c, x] = mean[c, x] / weight[c] if weight[c] > 0 else C[c, x]
    return mean, weight


@njit(cache=True)
def lloyd(P, w, k, seed, max_iter, tol):  # type: ignore[no-untyped-def]
    """Centers, the weight and the inertia that each of them had at the last step, and the number of steps.

    Stops when the centers move by at most `tol` in sum of squares. A center without points goes to the point that
    adds most to the inertia. Fewer than k centers where there are fewer distinct points.
    """
    columns = np.ascontiguousarray(P.T)
    places, _ = _seeds(columns, w, k, np.uint64(seed))
    C = P[places].copy()
    weight, inertia, steps = np.zeros(len(C)), 0.0, 0
    for _ in range(max_iter):
        steps += 1
        label, far = _assigned(columns, C)
        far *= w
        inertia = far.sum()
        moved, weight = means(P, w, label, C)
        for c in range(len(C)):
            if weight[c] == 0:
                i = int(far.argmax())
                moved[c] = P[i]
                far[i] = 0.0
        shift = 0.0
        for c in range(len(C)):
            for x in range(C.shape[1]):
                shift += (moved[c, x] - C[c, x]) ** 2
        C = moved
        if shift <= tol:
            break
    return C, weight, inertia, steps
