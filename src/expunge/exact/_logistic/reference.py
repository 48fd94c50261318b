"""A curvature that is kept between deletions, and still depends on nothing but the records that are there now.

Curvature costs many passes, so it is worth keeping; but one computed before a deletion remembers what left. So it is
taken at a place that fits with and without a record agree on: the weights, rounded to a coarse grid, in a frame that is
rounded likewise. Records that leave are subtracted from it, and when the rounded weights or the frame become other ones
it is computed again. So is what rounding can do to the weights, which decides whether there is an answer.
It is a cache all the same: at a border of the grid two fits that agree to 1e-13 may keep another one. No comparison of
models looks at it, and what the weights are does not depend on it.
Shapes: K columns, d features; curvature in blocks as in `_logistic/objective.py`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from expunge.core.errors import InvalidData
from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.objective import Array, Objective, Records
from expunge.exact._logistic.rounding import Rounding

GRID = 1 / 32  # of a weight in the frame: finer costs curvatures, coarser costs steps
_FAR = 8.0  # scales from the centre: a column that reaches further has a finer grid, so that no margin is moved by much
_NEAR = 3.0  # of a margin: curvatures of places that are further apart say little about each other
_FADED = 0.25  # of a column's curvature: a deletion that leaves less leaves too much rounding
_GONE = 1e-6  # of its reach or of its rounding: likewise
_FRAMES = 4


@dataclass(frozen=True)
class Reference:
    """A frame, rounded weights in it [K, d + 1], and sums over the records there: of second derivatives of losses, of
    what rounding does to their gradient, and of eighth powers of the columns [d], for how far they reach."""

    frame: Frame
    point: Array
    curvature: Array
    rounding: Rounding
    reach: Array
    n: int
    sound: bool = True

    @classmethod
    def at(cls, objective: Objective, records: Records, W: Array) -> "Reference":
        """Beside these weights, of the columns as given.

        Raises: InvalidData, where a value lies so far out that nothing can be said about rounding.
        """
        n = int(records.alive.sum())
        for _ in range(_FRAMES):
            frame, reach = objective.frame, _eighth_powers(objective.frame, records)
            point = _rounded(frame.inside(W), reach)
            curvature = objective.loss_curvature(point, records)
            objective = objective.reframed(curvature)
            if objective.frame.same(frame):
                break
        rounding = Rounding.of(replace(objective, frame=frame), point, records)
        return cls(frame, point, curvature, rounding, reach, n)

    def without(self, objective: Objective, gone: Records) -> "Reference":
        """Less the records that leave; not `sound` where they were most of a column."""
        curvature = self.curvature - objective.loss_curvature(self.point, gone)
        rounding = self.rounding - Rounding.of(objective, self.point, gone)
        reach = self.reach - _eighth_powers(self.frame, gone)
        faded = (
            (_diagonal(curvature) < _FADED * _diagonal(self.curvature)).any()
            or rounding.left_of(self.rounding) < _GONE
            or (reach < _GONE * self.reach).any()
        )
        n = self.n - len(gone.X)
        return replace(self, curvature=curvature, rounding=rounding, reach=reach, n=n, sound=not faded)

    def joined_by(self, objective: Objective, new: Records) -> "Reference":
        """With further records."""
        return replace(
            self,
            curvature=self.curvature + objective.loss_curvature(self.point, new),
            rounding=self.rounding + Rounding.of(objective, self.point, new),
            reach=self.reach + _eighth_powers(self.frame, new),
            n=self.n + len(new.X),
        )

    def following(self, objective: Objective, records: Records, W: Array) -> "Reference":
        """What `at` gives for these weights, computed again only where it has become another."""
        reframed = objective.reframed(self.curvature)
        same = reframed.frame.same(self.frame) and np.array_equal(
            _rounded(self.frame.inside(W), self.reach), self.point
        )
        return self if same and self.sound else Reference.at(reframed, records, W)

    def near(self, V: Array) -> bool:
        """Whether curvatures here and at these weights of the frame are alike: no record's margin is far from the other.

        A column moves the margin of no record by more than its weight moves times its reach; signs differ.
        """
        moved = np.abs(V - self.point)
        moved[:, :-1] *= _reach(self.reach)
        return bool(np.sqrt((moved**2).sum(axis=1)).max() <= _NEAR)

    def packed(self) -> dict[str, Any]:
        return {
            "centre": self.frame.centre,
            "scale": self.frame.scale,
            "point": self.point,
            "curvature": self.curvature,
            "reach": self.reach,
            **self.rounding.packed(),
        }

    @classmethod
    def unpacked(cls, values: dict[str, Any], n: int) -> "Reference":
        frame = Frame(values["centre"], values["scale"])
        rounding = Rounding(values["residuals"], values["terms"], values["impossible"])
        return cls(frame, values["point"], values["curvature"], rounding, values["reach"], n)


def _rounded(V: Array, reach: Array) -> Array:
    # Powers of two, so that the grid itself does not follow every record.
    finer = np.append(np.exp2(np.ceil(np.log2(np.maximum(_reach(reach) / _FAR, 1.0)))), 1.0)
    rounded: Array = np.rint(V * finer / GRID) * (GRID / finer) + 0.0  # no negative zero
    return rounded


def _reach(eighth_powers: Array) -> Array:
    """How far from the centre the furthest value of a column lies, at most, from a sum that records can leave."""
    reach: Array = np.maximum(eighth_powers, 0.0) ** 0.125
    return reach


def _eighth_powers(frame: Frame, records: Records) -> Array:
    """Of every feature over the records, in the frame, [d]."""
    total = np.zeros(records.X.shape[1])
    with np.errstate(over="ignore"):
        for X, _ in records.blocks():
            power = frame.of(X)
            for _ in range(3):
                power = power * power  # sixty times as fast as ** 8
            total += power.sum(axis=0)
    if not np.isfinite(total).all():
        raise InvalidData("a value lies too far from all others of its column for the arithmetic; correct it")
    return total


def _diagonal(curvature: Array) -> Array:
    return np.diagonal(curvature, axis1=1, axis2=2)
