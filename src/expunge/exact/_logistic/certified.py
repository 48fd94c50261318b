"""Certified removal: noise in the objective hides a residual, and a budget says how large a residual it hides.

Source: Guo, Goldstein, Hannun, van der Maaten (2020), "Certified data removal from machine learning models",
arXiv:1911.03030. Weights W minimise sum of losses + ridge/2 |W|² + <b, W> with b ~ N(0, sigma² I) drawn once. Weights
at which that gradient is u, not 0, are the minimum for the noise b - u; two normal laws that far apart cannot be told
apart beyond (epsilon, delta) while |u| <= sigma epsilon / c, c = sqrt(2 ln(1.5 / delta)), epsilon <= 1.

What is charged, and why it may be: the claim is about the residual u of what is published, and about nothing else.
    "residual"  |u| itself, computed over the records that stay. It holds all that earlier removals left, so it takes the
                place of what was charged before and is not added to it. Any step may lead there, also one with an old
                curvature. It needs b, which stays in the state.
    "bound"     the paper's: for a Newton step d with the true curvature, the residual grows by at most
                g/2 |X|₂ |(Xd)²|₂, g = 1 / (6 sqrt 3) the largest third derivative of the logistic loss. Bounds of all
                removals add up. b is not kept.
In both, what the solver left at fit is charged first. Columns of several classes have independent noise, so together
they are one normal law, and their charges add up as squares.
As in the paper, u is taken as given: that it varies a little with b itself is not charged.
"""

import hashlib
from math import log, sqrt
from typing import Any

import numpy as np

from expunge.core.noise import noise_words
from expunge.exact._logistic.objective import Array, Objective, Records, factored, solve
from expunge.exact._logistic.reference import Reference

THIRD_DERIVATIVE = 1 / (6 * sqrt(3))
_STEPS = 5


def epsilon_per_charge(sigma: float, delta: float) -> float:
    """What a charge of 1 costs in epsilon.

    >>> round(epsilon_per_charge(sigma=10.0, delta=1e-5), 3)
    0.488
    """
    return sqrt(2 * log(1.5 / delta)) / sigma


def noise(salt: bytes, X: Array, y: Any, shape: tuple[int, ...], sigma: float) -> Array:
    """Keyed by the records too: two fits share it only if they are the same fit, so what it hid stays hidden.

    Drawn from PCG64 in floating point: neither a cryptographic generator nor safe against attacks on low bits.
    """
    content = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    content.update(repr(np.asarray(y).tolist()).encode())
    words = noise_words(salt, "logistic noise", content.hexdigest())
    return np.random.default_rng(words).normal(scale=sigma, size=shape)


def clipped(X: Array, radius: float) -> Array:
    """Rows no longer than the public radius."""
    length = np.sqrt(np.einsum("nd,nd->n", X, X))
    shorter: Array = X * np.minimum(1.0, radius / np.maximum(length, np.finfo(float).tiny))[:, None]
    return shorter


def step_by_residual(
    objective: Objective,
    records: Records,
    gone: Records,
    W: Array,
    residual: Array,
    reference: Reference,
    enough: float,
) -> tuple[Array, Array, Reference]:
    """New weights, their residual and the curvature used; `enough` is the size at which no further step is taken."""
    reference = reference.without(objective, gone)
    if not reference.sound:
        reference = Reference.at(objective, records, W)
    factors = factored(objective.penalised(reference.curvature, W.shape))
    residual = residual - objective.loss_gradient(W, gone)
    size = float(np.linalg.norm(residual))
    for _ in range(_STEPS):
        W = W - solve(factors, residual)
        residual = objective.gradient(W, records)
        before, size = size, float(np.linalg.norm(residual))
        if size <= enough:
            break
        if size > 0.3 * before:
            reference = Reference.at(objective, records, W)
            factors = factored(objective.penalised(reference.curvature, W.shape))
    return W, residual, reference


def step_by_bound(objective: Objective, records: Records, gone: Records, W: Array) -> tuple[Array, Array]:
    """New weights by one Newton step, and the bound of what it adds to the residual of each column."""
    factors = factored(objective.penalised(objective.loss_curvature(W, records), W.shape))
    # The gradient over the records that stay is less the leaving ones' share, so the step against it goes this way: +.
    step = solve(factors, objective.loss_gradient(W, gone))
    fourth, gram = np.zeros(len(W)), np.zeros((W.shape[1], W.shape[1]))
    for X, _ in records.blocks():
        Xa = np.hstack([X, np.full((len(X), 1), float(objective.intercept))])
        fourth += ((Xa @ step.T) ** 4).sum(axis=0)
        gram += Xa.T @ Xa
    largest = sqrt(float(np.linalg.eigvalsh(gram)[-1]) * (1 + 1e-9))  # rounding must not make a bound too small
    return W + step, THIRD_DERIVATIVE / 2 * largest * np.sqrt(fourth)
