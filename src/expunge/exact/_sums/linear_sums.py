"""Sums of products that can be added to and taken from for ever: each is held as two numbers, with 32 digits.

Source: Ogita, Rump and Oishi (2005), "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), algorithm Dot2: the
rounding error of every product and of every sum is itself a floating-point number and is added up beside the sum.
Shapes: m columns; sums are [m, m] and only their upper triangle is kept, as `high` + `low`.

Why not one number of 16 digits: raw sums of columns with an offset of a million times their spread would have none
left, and what a record of great size leaves behind when it is subtracted would be larger than the others' share.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDING = 2.0**-104  # of a sum of products, relative to the sum of their sizes: the square of a double's, with room


@intrinsic  # type: ignore[untyped-decorator]
def _fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once, which is how the error of a product is found; in software where the processor has none."""
    double = ir.DoubleType()

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(double, [double] * 3)
        return builder.call(builder.module.declare_intrinsic("llvm.fma", [double], kind), arguments)

    return a(a, a, a), code


@njit(cache=True)  # type: ignore[untyped-decorator]
def accumulate(high: Array, low: Array, Z_nm: Array, sign: float) -> None:
    """Add `sign` times the products of the columns of these rows, in place."""
    n, m = Z_nm.shape
    for r in range(n):
        z = Z_nm[r]
        for i in range(m):
            a = sign * z[i]
            for j in range(i, m):
                s = high[i, j]
                p = a * z[j]
                e = _fma(a, z[j], -p)
                t = s + p
                b = t - s
                high[i, j] = t
                low[i, j] += ((s - (t - b)) + (p - b)) + e
    for i in range(m):  # the nearest double and what is left: one sum has one such pair, in whatever order it was added
        for j in range(i, m):
            s, p = high[i, j], low[i, j]
            t = s + p
            b = t - s
            high[i, j] = t
            low[i, j] = (s - (t - b)) + (p - b)


@njit(cache=True)  # type: ignore[untyped-decorator]
def centred(high: Array, low: Array, ridge: float, about_mean: bool) -> tuple[Array, Array, Array]:
    """Curvature [d, d] with `ridge` on its diagonal, right-hand side [d], and means [d + 1] of columns and target.

    The sums are those of the columns (d features, target, ones). Everything is rounded to one double at the very end.
    """
    m = len(high)
    d, n = m - 2, high[m - 1, m - 1]
    mean, rest = np.zeros(m - 1), np.zeros(m - 1)
    if about_mean:
        for j in range(m - 1):
            mean[j] = high[j, m - 1] / n
            rest[j] = (_fma(-mean[j], n, high[j, m - 1]) + low[j, m - 1]) / n
    curvature, right = np.empty((d, d)), np.empty(d)
    row = np.empty(d + 1)
    for i in range(d):
        a, a_low = high[i, m - 1], low[i, m - 1]
        for j in range(i, d + 1):
            p = a * mean[j]
            e = _fma(a, mean[j], -p) + (a * rest[j] + a_low * mean[j])
            s = high[i, j]
            t = s - p
            b = t - s
            row[j] = t + (((s - (t - b)) - (p + b)) + (low[i, j] - e))
        right[i] = row[d]
        for j in range(i, d):
            curvature[i, j] = row[j]
            curvature[j, i] = row[j]
        curvature[i, i] += ridge
    return curvature, right, mean


@njit(cache=True)  # type: ignore[untyped-decorator]
def amplified(sums: Array, inverse: Array) -> float:
    """By how much a relative error in the sums of one column can move the solution, at most."""
    worst = 0.0
    for j in range(len(inverse)):
        worst = max(worst, sums[j, j] * inverse[j, j])
    return worst


@njit(cache=True)  # type: ignore[untyped-decorator]
def growth(before: Array, after: Array) -> float:
    """By how much an error in the sums counts for more than it did; at least 1."""
    worst = 1.0
    for j in range(len(after)):
        worst = max(worst, after[j, j] / before[j, j])
    return worst


@njit(cache=True)  # type: ignore[untyped-decorator]
def downdated(inverse: Array, u: Array, weight: float) -> tuple[Array, float]:
    """Inverse of the curvature less weight * u uᵀ (Sherman and Morrison), and the share of it that stays: small is bad."""
    d = len(u)
    v = np.zeros(d)
    for i in range(d):
        for j in range(d):
            v[j] += inverse[i, j] * u[i]
    stays = 1.0
    for i in range(d):
        stays -= weight * u[i] * v[i]
    factor = weight / stays
    result = np.empty((d, d))
    for i in range(d):
        a = factor * v[i]
        for j in range(d):
            result[i, j] = inverse[i, j] + a * v[j]
    return result, stays


@njit(cache=True)  # type: ignore[untyped-decorator]
def refined(curvature: Array, right: Array, inverse: Array, start: Array, limit: int) -> tuple[Array, float]:
    """Solution of curvature @ w = right, and the size of the last step relative to w.

    Residuals are summed with 32 digits, so the solution is right to the last digit or two wherever the inverse is
    right to its first few; a last step above 1e-12 says that it is not.
    """
    d = len(right)
    w, high, low, step = start.copy(), np.empty(d), np.empty(d), np.empty(d)
    size = np.inf
    for _ in range(limit):
        high[:] = right
        low[:] = 0.0
        for i in range(d):
            a = -w[i]
            for j in range(d):
                s = high[j]
                p = a * curvature[i, j]
                e = _fma(a, curvature[i, j], -p)
                t = s + p
                b = t - s
                high[j] = t
                low[j] += ((s - (t - b)) + (p - b)) + e
        step[:] = 0.0
        for i in range(d):
            r = high[i] + low[i]
            for j in range(d):
                step[j] += inverse[i, j] * r
        largest, moved = 0.0, 0.0
        for j in range(d):
            w[j] += step[j]
            largest = max(largest, abs(w[j]))
            moved = max(moved, abs(step[j]))
        size = moved / largest if largest > 0 else moved
        if size <= 1e-15:
            break
    return w, size
