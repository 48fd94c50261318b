"""A curvature that is kept between deletions, and still depends on nothing but the records that are there now.

Curvature costs many passes, so it is worth keeping; but one computed before a deletion remembers what left. So it is
taken at a place that fits with and without a record agree on: the weights, rounded to a coarse grid. Records that
leave are subtracted from it, and when the rounded weights become other ones it is computed again.
Shapes: K columns, d features; curvature in blocks as in `_logistic/objective.py`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from expunge.exact._logistic.objective import Array, Objective, Records

GRID = 1 / 32  # of a weight, where its feature has size 1: finer costs curvatures, coarser costs steps
_FADED = 0.25  # of a column's sum of squares: a deletion that leaves less leaves too much rounding


@dataclass(frozen=True)
class Reference:
    """Rounded weights [K, d + 1], and sums over the records: of squares [d] and of second derivatives of losses."""

    point: Array
    squares: Array
    curvature: Array
    n: int
    sound: bool = True

    @classmethod
    def at(cls, objective: Objective, records: Records, W: Array) -> "Reference":
        squares, n = sums_of_squares(records), int(records.alive.sum())
        point = _rounded(W, squares, n)
        return cls(point, squares, objective.loss_curvature(point, records), n)

    def without(self, objective: Objective, gone: Records) -> "Reference":
        """Less the records that leave; not `sound` where they were most of a column."""
        squares = self.squares - sums_of_squares(gone)
        curvature = self.curvature - objective.loss_curvature(self.point, gone)
        faded = (squares < _FADED * self.squares).any() or (
            _diagonal(curvature) < _FADED * _diagonal(self.curvature)
        ).any()
        return replace(self, squares=squares, curvature=curvature, n=self.n - len(gone.X), sound=not faded)

    def following(self, objective: Objective, records: Records, W: Array) -> "Reference":
        """What `at` gives for these weights, computed again only where it has become another."""
        if not self.sound:
            return Reference.at(objective, records, W)
        point = _rounded(W, self.squares, self.n)
        if np.array_equal(point, self.point):
            return self
        return replace(self, point=point, curvature=objective.loss_curvature(point, records))

    def packed(self) -> dict[str, Any]:
        return {"point": self.point, "squares": self.squares, "curvature": self.curvature}


def _rounded(W: Array, squares: Array, n: int) -> Array:
    size = np.sqrt(squares / n)
    # Powers of two, so that the grid itself does not follow every record.
    scale = np.append(np.exp2(np.rint(np.log2(np.where(size > 0, size, 1.0)))), 1.0)
    rounded: Array = np.rint(W * scale / GRID) * (GRID / scale) + 0.0  # no negative zero
    return rounded


def sums_of_squares(records: Records) -> Array:
    """Of every feature over the records, [d]."""
    total = np.zeros(records.X.shape[1])
    for X, _ in records.blocks():
        total += np.einsum("nd,nd->d", X, X)
    return total


def _diagonal(curvature: Array) -> Array:
    return np.diagonal(curvature, axis1=1, axis2=2)
