"""Coordinates in which columns are easy to tell apart: (x - centre) / scale, from what the records that count weigh.

Far from the origin a column looks like the intercept, and a value far out makes its column look like nothing at all;
the minimum is the same in all coordinates, but what rounding does to it is not. So columns are centred, and brought to
the scale at which their curvature is that of the intercept, both by the curvature itself: a record weighs p (1 - p), so
one far out that the model is certain of moves neither. Scales are powers of two and centres multiples of one,
so the step there and back is exact, and both seldom change when records leave.
Shapes: d features; weights [K, d + 1], the intercept last.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_QUARTER = 1 / 4  # of the spread: a centre this near leaves a column that is all but centred
_DIGITS = float(np.finfo(float).eps)
_TINY = 1e-300


@dataclass(frozen=True)
class Frame:
    """The centre and the scale of every column."""

    centre: Array
    scale: Array

    @classmethod
    def plain(cls, d: int) -> "Frame":
        """The coordinates as given."""
        return cls(np.zeros(d), np.ones(d))

    @classmethod
    def rounded(cls, centre: Array, spread: Array, least: float) -> "Frame":
        """Scales of the columns' spreads, none below `least`; of a constant column the centre is the constant."""
        scale = np.exp2(np.rint(np.log2(np.maximum(spread, least))))
        unit = np.exp2(np.rint(np.log2(np.maximum(spread, _DIGITS * np.abs(centre) + _TINY)))) * _QUARTER
        return cls(np.rint(centre / unit) * unit + 0.0, scale)  # no negative zero

    @classmethod
    def about(cls, X: Array, intercept: bool, least: float) -> "Frame":
        """Of these rows, equally weighed: a first guess."""
        centre = X.mean(axis=0) if intercept else np.zeros(X.shape[1])
        return cls.rounded(centre, np.sqrt(((X - centre) ** 2).mean(axis=0)), least)

    def weighed(self, curvature: Array, intercept: bool, ridge: float) -> "Frame":
        """What it should have been, from the curvature [blocks, m, m] that the losses have in it, penalised by `ridge`.

        Blocks of one class each, or all in one: they share a frame, so their diagonals are added up. Where the penalty
        is the larger part of a column's curvature, it sets the scale.
        """
        d = len(self.scale)
        parts = [block[i : i + d + 1, i : i + d + 1] for block in curvature for i in range(0, len(block), d + 1)]
        total = np.sum(parts, axis=0)
        weight, square = total[-1, -1], total.diagonal()[:-1]
        shift = total[:-1, -1] / weight if intercept else np.zeros(d)
        spread = np.sqrt(np.maximum(square / weight - shift**2, 0.0)) * self.scale
        return Frame.rounded(self.centre + shift * self.scale, spread, float(np.sqrt(len(parts) * ridge / weight)))

    def inside(self, W: Array) -> Array:
        """Weights of the columns as given, in these coordinates."""
        return np.column_stack([W[:, :-1] * self.scale, W[:, -1] + W[:, :-1] @ self.centre])

    def outside(self, V: Array) -> Array:
        """Weights in these coordinates, of the columns as given."""
        coef = V[:, :-1] / self.scale
        return np.column_stack([coef, V[:, -1] - coef @ self.centre])

    def of(self, X: Array, out: Array | None = None) -> Array:
        """Rows in these coordinates, in an array of their own or in this one."""
        rows: Array = np.subtract(X, self.centre, out=out)
        with np.errstate(over="ignore"):
            inverse = 1 / self.scale  # exact, and a product with it is the quotient: scales are powers of two
        if not (inverse == 1).all():
            np.multiply(rows, inverse, out=rows) if np.isfinite(inverse).all() else np.divide(
                rows, self.scale, out=rows
            )
        return rows

    def same(self, other: "Frame") -> bool:
        return np.array_equal(self.centre, other.centre) and np.array_equal(self.scale, other.scale)

    def near(self, other: "Frame") -> bool:
        """Whether these coordinates serve as well as the others."""
        ratio = other.scale / self.scale
        return bool(((ratio <= 2) & (ratio >= 0.5)).all() and (np.abs(other.centre - self.centre) <= self.scale).all())
