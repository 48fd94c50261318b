"""From numbers to codes: a grid of 65,536 cells over the range of each column, which no single record decides.

Where no range is declared it is that of the live records, rounded outward to whole steps, each an eighth to a quarter
of it, so that a deletion hardly ever moves it; when one does, codes and trees are made anew. The steps of a column are a
power of two times a factor of its own, drawn from the salt: round numbers, where the ends of many columns lie, would
move often and together. The grid is finer near both ends of a range, as columns of amounts need it: half of its cells
are even, half logarithmic. It uses sums, products and exponents only, whose results are the same on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter
from expunge.exact._forest.kernels import compiled
from expunge.exact._learner.rows import Positions

Ranges = NDArray[np.float64]
CELLS = 2**16
_OCTAVES = 10


def rounded(low: Any, high: Any, unit: Any) -> Ranges:
    """Ranges that contain these; their ends are whole steps, and steps are `unit`, in [1, 2), times a power of two, [d, 2].

    >>> rounded([0.0, 17.0, 3.7], [1.0, 90.0, 3.7], [1.0, 1.25, 1.0])
    array([[ 0. ,  1. ],
           [10. , 90. ],
           [ 3.7,  3.7]])
    """
    low, high, unit = np.asarray(low, float), np.asarray(high, float), np.asarray(unit, float)
    with np.errstate(all="ignore"):  # widths at the limits of float64 are kept as they are
        exponent = np.frexp((high / 2 - low / 2) / unit)[1] - 2  # halves: the width alone may overflow
        step = np.ldexp(unit, exponent)
        ends = np.minimum(np.floor(low / step) * step, low), np.maximum(np.ceil(high / step) * step, high)
        ranges = np.stack(ends, axis=1)
        fine = (low < high) & np.isfinite(ranges).all(axis=1)
    return np.where(fine[:, None], ranges, np.stack([low, high], axis=1))


def declared_ranges(ranges: Any, d: int) -> list[tuple[float, float] | None]:
    """Ranges as the user gave them: one a column or None; one pair of numbers stands for all columns.

    Raises: InvalidParameter.
    """
    if ranges is None:
        return [None] * d
    if isinstance(ranges, Sequence | np.ndarray) and len(ranges) == 2 and all(np.isscalar(end) for end in ranges):
        return [declared_range(ranges, "ranges")] * d
    if not isinstance(ranges, Sequence | np.ndarray) or len(ranges) != d:
        raise InvalidParameter(f"ranges must be (low, high), or hold (low, high) or None for each of {d} columns")
    return [None if r is None else declared_range(r, f"ranges[{j}]") for j, r in enumerate(ranges)]


def declared_range(given: Any, what: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError) as e:
        raise InvalidParameter(f"{what} must be (low, high), got {given!r}") from e
    if not (low <= high and np.isfinite([low, high]).all()):
        raise InvalidParameter(f"{what} must be finite with low <= high, got {given!r}")
    return low, high


@dataclass(frozen=True)
class Extent:
    """Least and greatest live value of each column, how many records hold them, and the ranges that follow, [d, 2]."""

    low: Ranges
    high: Ranges
    n_low: NDArray[np.int64]
    n_high: NDArray[np.int64]
    declared: Sequence[tuple[float, float] | None]
    unit: Ranges  # of the steps that ranges are rounded to
    ranges: Ranges

    @classmethod
    def of(cls, values: Ranges, declared: Sequence[tuple[float, float] | None], unit: Ranges) -> "Extent":
        low, high = values.min(axis=0), values.max(axis=0)
        ranges = _chosen(low, high, declared, unit)
        return cls(low, high, (values == low).sum(axis=0), (values == high).sum(axis=0), declared, unit, ranges)

    def without(self, values: Any, alive: NDArray[np.bool_], gone: Positions) -> "Extent":
        """The extent once these records have left; a column is looked at only if it loses an end."""
        leaving = values[gone]
        n_low = self.n_low - (leaving == self.low).sum(axis=0)
        n_high = self.n_high - (leaving == self.high).sum(axis=0)
        lost = np.flatnonzero((n_low == 0) | (n_high == 0))
        if not len(lost):
            return replace(self, n_low=n_low, n_high=n_high)
        stay = alive.copy()
        stay[gone] = False
        low, high = self.low.copy(), self.high.copy()
        for j in lost.tolist():
            column = values[stay, j]
            low[j], high[j] = column.min(), column.max()
            n_low[j], n_high[j] = (column == low[j]).sum(), (column == high[j]).sum()
        return Extent(low, high, n_low, n_high, self.declared, self.unit, _chosen(low, high, self.declared, self.unit))

    def joined_by(self, values: Ranges) -> "Extent":
        """The extent with further records."""
        low, high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        n_low = np.where(low == self.low, self.n_low, 0) + (values == low).sum(axis=0)
        n_high = np.where(high == self.high, self.n_high, 0) + (values == high).sum(axis=0)
        ranges = _chosen(low, high, self.declared, self.unit)
        return Extent(low, high, n_low, n_high, self.declared, self.unit, ranges)


def _chosen(low: Ranges, high: Ranges, declared: Sequence[tuple[float, float] | None], unit: Ranges) -> Ranges:
    ranges = rounded(low, high, unit)
    for j, pair in enumerate(declared):
        if pair is not None:
            ranges[j] = pair
    return ranges + 0.0  # -0.0 is 0.0: which of the two is the least depends on the order of the records


@compiled
def _logarithm(u: float) -> float:
    """log2(1 + 1023 u) / 10 with straight lines between powers of two, on 0..1."""
    mantissa, exponent = frexp(1.0 + (2.0**_OCTAVES - 1.0) * u)
    return (exponent - 2 + 2.0 * mantissa) / _OCTAVES


@compiled
def encode(X: Any, ranges: Any) -> Any:
    """Codes of values, which keep their order; values outside a range take its outermost codes, [n, d]."""
    n, d = X.shape
    codes = np.zeros((n, d), np.uint16)
    for i in range(n):
        for j in range(d):
            low, high = ranges[j, 0], ranges[j, 1]
            if X[i, j] <= low or low == high:
                codes[i, j] = 0 if X[i, j] <= high else CELLS - 1
            elif X[i, j] >= high:
                codes[i, j] = CELLS - 1
            else:
                u = (X[i, j] * 0.5 - low * 0.5) / (high * 0.5 - low * 0.5)
                place = 0.5 * u + 0.25 * _logarithm(u) + 0.25 * (1.0 - _logarithm(1.0 - u))
                codes[i, j] = min(int(place * CELLS), CELLS - 1)
    return codes
