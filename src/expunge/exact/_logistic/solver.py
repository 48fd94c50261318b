"""Ways to the minimum: Newton's from anywhere, and steps with a curvature of an earlier place from nearby.

A curvature that is a little wrong makes each step leave a share of the error; steps repeat, with exact gradients of
the records that stay, until the share that is left counts for nothing. So the minimum reached does not depend on how
good the curvature was, only the number of passes does.
"""

from typing import Any

import numpy as np

from expunge.core.errors import InvalidData
from expunge.exact._logistic.objective import Array, Objective, Records, factored, solve

ENOUGH = 1e-12  # of the weights: what may be left of the error
TOLD = 1e-10  # of the weights: where more than this is left, it is said
_FLOOR = 1e-9  # steps below this that do not shrink are rounding
_SLOW = 0.5  # a step that leaves more than this of the one before asks for another curvature
_PASSES = 100


def newton(objective: Objective, records: Records, W: Array, until: float = 1e-6) -> Array:
    """Newton's steps, halved where one overshoots, until a step is smaller than `until`; its error is about the square.

    Raises: InvalidData, where the columns' scales are too far apart to be minimised over.
    """
    gradient = objective.gradient(W, records)
    for _ in range(_PASSES):
        step = -solve(factors_of(objective, objective.loss_curvature(W, records), W), gradient)
        slope, share = float((gradient * step).sum()), 1.0
        while True:
            gradient = objective.gradient(W + share * step, records)
            # The slope at the end says whether the step went past the minimum along it; values lose that in rounding.
            if float((gradient * step).sum()) <= -0.1 * slope or share < 1e-6 or moved(step, W, objective) <= until:
                break
            share /= 2
        W = W + share * step
        if share == 1.0 and moved(step, W, objective) <= until:
            return W
    raise InvalidData(f"no minimum after {_PASSES} Newton steps; bring the columns to similar scales")


def polish(objective: Objective, records: Records, W: Array, factors: list[Any], before: float = np.inf) -> Array:
    """Steps with these factors until at most `ENOUGH` of an error is left; `before` is the size of the step to W."""
    past: list[tuple[Array, Array]] = []
    step = gradient = np.zeros_like(W)
    fresh = False  # whether the factors are those of a minimum that Newton's steps found
    for i in range(_PASSES):
        last, gradient = gradient, objective.gradient(W, records)
        if i and float((step * (gradient - last)).sum()) > 0:
            past.append((step, gradient - last))
        step = _direction(gradient, past, factors)
        W = W + step
        size = moved(step, W, objective)
        left = size / before if 0 < before < np.inf else 1.0
        if size <= ENOUGH or size * left <= ENOUGH * (1 - left):
            return W
        if left > _SLOW and np.isfinite(before):
            if fresh and size <= _FLOOR:  # the best of factors help no more: what is left is rounding
                return W
            fresh, W = True, newton(objective, records, W)
            factors, size = factors_of(objective, objective.loss_curvature(W, records), W), np.inf
            step = np.zeros_like(W)  # it led from elsewhere, as all before it did
            past.clear()
        before = size
    raise InvalidData(f"no minimum after {_PASSES} steps; bring the columns to similar scales")


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


def factors_of(objective: Objective, curvature: Array, W: Array) -> list[Any]:
    """Cholesky factors of the whole's curvature, from that of the losses.

    Raises: InvalidData.
    """
    try:
        return factored(objective.penalised(curvature, W.shape))
    except np.linalg.LinAlgError as e:
        raise InvalidData("the columns' scales are too far apart to be told apart; standardise them") from e


def moved(step: Array, W: Array, objective: Objective) -> float:
    """Largest change of a weight, relative to the largest weight.

    Weights that do less than `LEAST` to a typical margin are as good as 0: what is left of them is rounding.
    """
    weights = max(float(np.abs(W[:, :-1]).max()), objective.least)
    intercepts = max(float(np.abs(W[:, -1]).max()), weights)
    return max(float(np.abs(step[:, :-1]).max()) / weights, float(np.abs(step[:, -1]).max()) / intercepts)
