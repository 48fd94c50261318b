"""Ways to the minimum: Newton's from nothing, and steps with a curvature of an earlier place from nearby.

Both stop on the gradient as the curvature scales it (the step of Newton's decrement), in a frame where a weight of size
1 counts the same in every column: neither a column whose right weight is 1e-8 nor one of 1e8 is overlooked. Both go on
until what is left of the error is 1e-12 of the weights, or what rounding in the gradient leaves undecided; a caller who
promises more digits than that has to look at `_logistic/rounding.py` first.
"""

from typing import Any

import numpy as np

from expunge.core.errors import InvalidData
from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.objective import Array, Objective, Records, factored, solve

ENOUGH = 1e-12  # of the weights: what may be left of the error
LEAST = 1e-3  # of a margin: weights that all do less to it are measured against this
_CLOSE = 1e-6  # of the weights: a Newton step so small leaves about its square
_FLAT = 1e-9  # of the weights: along a step so small, slopes are rounding
_SLOW = 0.5  # a step that leaves more than this of the one before asks for another curvature
_PASSES = 100


def newton(objective: Objective, records: Records, enough: float = ENOUGH) -> tuple[Array, Objective, float]:
    """Newton's steps from 0, halved where one overshoots; weights, the objective in the frame that they are of, and the
    size of the last step: `enough`, or where rounding lets none become smaller.

    Raises: InvalidData, where rounding leaves no way.
    """
    V = np.zeros((objective.n_columns, records.X.shape[1] + 1))
    gradient, size = objective.gradient(V, records), np.inf
    for _ in range(_PASSES):
        curvature = objective.loss_curvature(V, records)
        reframed = objective.reframed(curvature)
        if not objective.frame.near(reframed.frame):
            V = reframed.frame.inside(objective.frame.outside(V))
            objective, gradient = reframed, reframed.gradient(V, records)
            continue
        step = -solve(factors_of(objective, curvature, V), gradient)
        slope, share, last = float((gradient * step).sum()), 1.0, size
        while True:
            gradient = objective.gradient(V + share * step, records)
            # The slope at the end says whether the step went past the minimum along it; values lose that in rounding.
            size = moved(share * step, V, objective)
            if float((gradient * step).sum()) <= -0.1 * slope or share < 1e-6 or size <= max(enough, _FLAT):
                break
            share /= 2
        V = V + share * step
        if share == 1.0 and (size <= enough or (size <= _CLOSE and size > _SLOW * last)):  # the second is rounding
            return V, objective, size
    raise InvalidData(f"no minimum after {_PASSES} Newton steps; bring the columns to similar scales, or lower C")


def polish(
    objective: Objective, records: Records, V: Array, factors: list[Any], before: float, enough: float
) -> Array | None:
    """Steps with these factors until at most `enough` of an error is left; `before` is the size of the step to V.

    None where they do not get there: the curvature is too far from that of the place they lead to.
    """
    past: list[tuple[Array, Array]] = []
    step = gradient = np.zeros_like(V)
    left = 0.0  # share of an error that a step leaves
    for i in range(_PASSES):
        last, gradient = gradient, objective.gradient(V, records)
        if i and float((step * (gradient - last)).sum()) > 0:
            past.append((step, gradient - last))
        step = _direction(gradient, past, factors)
        V = V + step
        size = moved(step, V, objective)
        before, left, left_before = size, size / before if before > 0 else 1.0, left
        share = max(left, left_before)  # a step may be lucky: it says nothing about the next
        if size <= enough or size * share <= enough * (1 - share):
            return V
        if not left <= _SLOW:
            return None
    return None


def _direction(gradient: Array, past: list[tuple[Array, Array]], factors: list[Any]) -> Array:
    """The quasi-Newton step: what the steps so far have told about the curvature corrects the factors (BFGS)."""
    q, shares = gradient.copy(), []
    for s, y in reversed(past):
        shares.append(float((s * q).sum()) / float((s * y).sum()))
        q -= shares[-1] * y
    step = solve(factors, q)
    for (s, y), share in zip(past, reversed(shares), strict=True):
        step += s * (share - float((y * step).sum()) / float((s * y).sum()))
    return -step


def factors_of(objective: Objective, curvature: Array, V: Array) -> list[Any]:
    """Cholesky factors of the whole's curvature, from that of the losses.

    Raises: InvalidData.
    """
    try:
        return factored(objective.penalised(curvature, V.shape))
    except np.linalg.LinAlgError as e:
        raise InvalidData(
            "16 digits do not tell these columns apart: they depend on each other; drop those that repeat others, or lower C"
        ) from e


def moved(step: Array, V: Array, objective: Objective) -> float:
    """Largest change of a weight, relative to the largest: in the frame, where weights are what a column does to a typical
    margin, and of the columns as given, whose intercept is what is left of products of weights and centres."""
    frame = objective.frame
    effects, intercepts, weights, products = sizes(V, frame)
    moved, moved_intercept = np.abs(step[:, :-1]), np.abs(step[:, -1])
    given = moved / frame.scale
    return max(
        float(moved.max()) / effects,
        float(moved_intercept.max()) / intercepts,
        float(given.max()) / weights,
        float((moved_intercept + given @ np.abs(frame.centre)).max()) / products,
    )


def sizes(V: Array, frame: Frame) -> tuple[float, float, float, float]:
    """What weights and intercepts are measured against: in the frame, and of the columns as given."""
    coef, intercepts = np.abs(V[:, :-1]), np.abs(V[:, -1])
    effects = max(float(coef.max()), LEAST)
    beside = max(float(intercepts.max()), effects)
    weights = max(float((coef / frame.scale).max()), LEAST / float(frame.scale.max()))
    return effects, beside, weights, max(effects, float((coef / frame.scale * np.abs(frame.centre)).max()))
