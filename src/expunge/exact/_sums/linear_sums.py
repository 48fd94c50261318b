"""Sums of products that can be added to and taken from for ever: each is held as two numbers, with 32 digits.

Source: Ogita, Rump and Oishi (2005), "Accurate sum and dot product", SIAM J. Sci. Comput. 26(6), algorithm Dot2: the
rounding error of every product and of every sum is itself a floating-point number and is added up beside the sum.
Shapes: m columns; sums are [m, m] and only their upper triangle is kept, as `high` + `low`.

Why not one number of 16 digits: raw sums of columns with an offset of a million times their spread would have none
left, and what a record of great size leaves behind when it is subtracted would be larger than the others' share. For
the same reason all that follows from the sums keeps 32 digits until the weights are found: columns that depend on
each other multiply every rounding by their condition.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDING = 2.0**-104  # of a sum of products, relative to the sum of their sizes: the square of a double's, with room


class Normal(NamedTuple):
    """The normal equations of centred columns: `curvature` @ w = `right`, each with 32 digits, and all means."""

    curvature: Array  # [d, d], the penalty on its diagonal
    curvature_low: Array
    right: Array  # [d]
    right_low: Array
    mean: Array  # [d + 1], of columns and target


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
def _centred(high: Array, low: Array, ridge: float, about_mean: bool) -> tuple[Array, Array, Array, Array, Array]:
    m = len(high)
    d, n = m - 2, high[m - 1, m - 1]
    mean, rest = np.zeros(m - 1), np.zeros(m - 1)
    if about_mean:
        for j in range(m - 1):
            mean[j] = high[j, m - 1] / n
            rest[j] = (_fma(-mean[j], n, high[j, m - 1]) + low[j, m - 1]) / n
    about, about_low = high.copy(), low.copy()
    for i in range(d):
        _less(about[i, i : d + 1], about_low[i, i : d + 1], high[i, m - 1], low[i, m - 1], mean[i:], rest[i:])
        s = about[i, i]
        t = s + ridge
        b = t - s
        about_low[i, i] += (s - (t - b)) + (ridge - b)
        about[i, i] = t
    return _symmetric(about, d), _symmetric(about_low, d), about[:d, d].copy(), about_low[:d, d].copy(), mean


@njit(cache=True)  # type: ignore[untyped-decorator]
def _less(high: Array, low: Array, a: float, a_low: float, mean: Array, rest: Array) -> None:
    """Take (a + a_low) times (mean + rest) from a row, in place."""
    for j in range(len(high)):
        p = a * mean[j]
        e = _fma(a, mean[j], -p) + (a * rest[j] + a_low * mean[j])
        s = high[j]
        t = s - p
        b = t - s
        r = ((s - (t - b)) - (p + b)) + (low[j] - e)
        high[j] = t + r
        low[j] = r - (high[j] - t)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _symmetric(upper: Array, d: int) -> Array:
    """The whole of a matrix from its upper triangle, tile by tile: a column at a time would fetch every row for one number."""
    whole, tile = np.empty((d, d)), 8
    for top in range(0, d, tile):
        for left in range(top, d, tile):
            for i in range(top, min(top + tile, d)):
                for j in range(max(left, i), min(left + tile, d)):
                    whole[i, j] = upper[i, j]
                    whole[j, i] = upper[i, j]
    return whole


def centred(high: Array, low: Array, ridge: float, about_mean: bool) -> Normal:
    """What the weights solve, from the sums of the columns (d features, target, ones), with `ridge` as the penalty."""
    return Normal(*_centred(high, low, ridge, about_mean))


@njit(cache=True)  # type: ignore[untyped-decorator]
def inflation(curvature: Array, inverse: Array) -> float:
    """The condition of the columns: by how much the others, and the penalty, multiply the variance of one's weight.

    1 where no column depends on others, whatever their units; at least the condition number of the curvature of
    columns brought to one size over d, and at most that number.
    """
    worst = 0.0
    for j in range(len(inverse)):
        worst = max(worst, curvature[j, j] * inverse[j, j])
    return worst


@njit(cache=True)  # type: ignore[untyped-decorator]
def moved_by_rounding(inverse: Array, rounded: Array, coef: Array, mean: Array, least: float) -> float:
    """The share of the weights that rounding in the sums can have moved, at most: of the largest weight, or of `least` if
    that is larger; or of the largest product of a weight and a mean, for the intercept.

    `rounded` [d + 1], columns and target, is the sum over all additions of the column's sum of squares then. By Cauchy
    and Schwarz a sum of products is wrong by `ROUNDING` times the root of its two columns' entries. The weights move by
    inverse @ (error of the right-hand side - error of the curvature @ weights).
    """
    d = len(coef)
    size = np.sqrt(rounded)
    reach, largest, product = size[d], max(least, 1e-300), max(abs(mean[d]), 1e-300)
    for j in range(d):
        reach += size[j] * abs(coef[j])
        largest, product = max(largest, abs(coef[j])), max(product, abs(coef[j] * mean[j]))
    reach *= 4 * ROUNDING  # four: the products with the ones and both sides of a centred product count as well
    weights, intercept = 0.0, 0.0
    for i in range(d):
        moved = 0.0
        for j in range(d):
            moved += abs(inverse[i, j]) * size[j]
        weights = max(weights, moved * reach)
        intercept += moved * reach * abs(mean[i])
    share: float = max(weights / largest, intercept / product)
    return share


@njit(cache=True)  # type: ignore[untyped-decorator]
def downdated(inverse: Array, u: Array, weight: float) -> tuple[Array, float]:
    """Inverse of the curvature less weight * u uᵀ (Sherman and Morrison), and the share of it that stays: small is bad.

    A record that comes has a weight below 0.
    """
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
def _refined(
    curvature: Array, curvature_low: Array, right: Array, right_low: Array, inverse: Array, start: Array, limit: int
) -> tuple[Array, float]:
    d = len(right)
    w, high, low, step = start.copy(), np.empty(d), np.empty(d), np.empty(d)
    size = np.inf
    for _ in range(limit):
        high[:] = right
        low[:] = right_low
        for i in range(d):
            a = -w[i]
            for j in range(d):
                s = high[j]
                p = a * curvature[i, j]
                e = _fma(a, curvature[i, j], -p) + a * curvature_low[i, j]
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


def refined(normal: Normal, inverse: Array, start: Array, limit: int) -> tuple[Array, float]:
    """Solution of the normal equations, and the size of the last step relative to it.

    Residuals are summed with 32 digits, so the solution is right to the last digit or two wherever the inverse is
    right to its first few; a last step above 1e-12 says that it is not.
    """
    found: tuple[Array, float] = _refined(*normal[:4], inverse, start, limit)
    return found
