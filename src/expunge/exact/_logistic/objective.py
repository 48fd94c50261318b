"""What logistic regression minimises, its gradient and its curvature, in passes over the records block by block.

Shapes: n records, d features, K columns of weights [K, d + 1] with the intercept last; two classes have one column.
All weights are those of the objective's `frame`. `joint` classes share a softmax; otherwise every column is a problem of
its own, one class against the rest. The penalty is ridge/2 |w|²: on the features' weights, and on intercepts where
`certified`.

Softmax has directions in which nothing changes: the same number added to the weights of all classes. At the minimum the
weights of all classes add up to 0, by the penalty; for intercepts, which have none, that is the minimum meant. So half
the square of their sums is added to the objective, `tie` times: 0 at the minimum, which it makes the only one and, with
a tie of the curvature's own size, as easy to reach as if the directions were not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import expit, softmax

from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.one_pass import loss_gradient

Array = NDArray[np.float64]
EPSILON = float(np.finfo(float).eps)
_BLOCK = 1024  # rows at a time: few enough to stay near the processor between the two products


@dataclass(frozen=True)
class Records:
    """Features [n, d] and classes by number; places that are not `alive` count for nothing."""

    X: Array
    codes: NDArray[np.int32]
    alive: NDArray[np.bool_]

    def only(self, places: Any) -> "Records":
        return Records(self.X[places], self.codes[places], np.ones(len(places), dtype=bool))

    def without(self, places: Any) -> "Records":
        alive = self.alive.copy()
        alive[places] = False
        return Records(self.X, self.codes, alive)

    def blocks(self) -> Iterator[tuple[Array, NDArray[np.int32]]]:
        """Live rows, so many at a time wherever the gaps are: a gap changes no bit of any sum over blocks."""
        places = np.flatnonzero(self.alive)
        for start in range(0, len(places), _BLOCK):
            at = places[start : start + _BLOCK]
            b: Any = slice(at[0], at[-1] + 1) if at[-1] - at[0] < len(at) else at
            yield self.X[b], self.codes[b]


@dataclass(frozen=True)
class Objective:
    """The function to minimise, apart from the records."""

    n_columns: int
    ridge: float
    intercept: bool
    joint: bool
    frame: Frame
    certified: bool = False
    noise: Array | None = None
    tie: float = 0.0

    # -- over records, without the penalty ----------------------------------------------------------------------

    def loss_gradient(self, W: Array, records: Records) -> Array:
        """Gradient of the sum of losses over the records, [K, d + 1]."""
        frame = self.frame
        gradient: Array = loss_gradient(
            records.X, records.codes, records.alive, frame.centre, frame.scale, W, self.joint
        )
        if not self.intercept:
            gradient[:, -1] = 0.0
        return gradient

    def loss_curvature(self, W: Array, records: Records) -> Array:
        """Second derivative of the sum of losses, [1, K(d + 1), K(d + 1)] for joint classes, else [K, d + 1, d + 1].

        Without an intercept its place holds what the records weigh, which the penalty keeps from counting.
        """
        K, m = W.shape
        found = np.zeros((1, K * m, K * m)) if self.joint else np.zeros((K, m, m))
        for X, _ in records.blocks():
            Xa = self.rows(X)
            P = self.probabilities(Xa, W)
            if self.joint:
                _add_joint(found[0], Xa, P)
                continue
            S = np.sqrt(P * (1 - P))
            for k in range(K):  # a product with its own transpose takes half the work
                part = (Xa * S[:, k : k + 1]).T
                linalg.blas.dsyrk(1.0, part, beta=1.0, c=found[k].T, overwrite_c=True, lower=True)
        if not self.joint:
            found = np.triu(found) + np.triu(found, 1).transpose(0, 2, 1)
        if not self.intercept:
            held = np.arange(m - 1, found.shape[1], m)
            weights = found[:, held, held]
            found[:, held, :], found[:, :, held] = 0.0, 0.0
            found[:, held, held] = weights
        return found

    def rows(self, X: Array) -> Array:
        """Rows in the frame, with ones beside them."""
        Xa = np.ones((len(X), X.shape[1] + 1))
        self.frame.of(X, out=Xa[:, :-1])
        return Xa

    def probabilities(self, Xa: Array, W: Array) -> Array:
        Z = Xa @ W.T
        P: Array = softmax(Z, axis=1) if self.joint else expit(Z)
        return P

    # -- with the penalty ---------------------------------------------------------------------------------------

    def gradient(self, W: Array, records: Records) -> Array:
        total = self.loss_gradient(W, records) + self.penalty(W.shape) * W
        if self.tie:
            total += self.tie * W.sum(axis=0)
        return total if self.noise is None else total + self.noise

    def penalised(self, curvature: Array, shape: tuple[int, ...]) -> Array:
        """Curvature of the whole from that of the losses."""
        total, at = curvature.copy(), np.arange(curvature.shape[1])
        total[:, at, at] += self.penalty(shape).reshape(len(total), -1)
        if self.tie:
            m = shape[1]
            for j in range(m):
                total[0, j::m, j::m] += self.tie
        return total

    def reframed(self, curvature: Array) -> "Objective":
        """The same in the frame that this curvature of the losses asks for; certified noise is drawn for columns as given."""
        if self.certified:
            return self
        return replace(self, frame=self.frame.weighed(curvature, self.intercept, self.ridge))

    def penalty(self, shape: tuple[int, ...]) -> Array:
        penalty = np.empty(shape)
        penalty[:, :-1] = self.ridge / self.frame.scale**2
        # Without an intercept its weight is held at 0.
        penalty[:, -1] = self.ridge if self.certified else 0.0 if self.intercept else 1.0
        return penalty


def solve(factors: list[Any], gradient: Array) -> Array:
    """Curvature⁻¹ gradient, from the Cholesky factors of its blocks."""
    parts = gradient.reshape(len(factors), -1)
    steps = [linalg.cho_solve(f, g, check_finite=False) for f, g in zip(factors, parts, strict=True)]
    return np.asarray(steps).reshape(gradient.shape)


def factored(curvature: Array) -> list[Any]:
    """Cholesky factors of every block, in a frame where columns have one scale.

    Raises: LinAlgError, where rounding has left a block without an inverse.
    """
    if not np.isfinite(curvature).all():
        raise np.linalg.LinAlgError("a curvature is no number")
    return [linalg.cho_factor(block, lower=True, check_finite=False) for block in curvature]


def _add_joint(found: Array, Xa: Array, P: Array) -> None:
    K, m = P.shape[1], Xa.shape[1]
    for k in range(K):
        for j in range(k, K):
            weight = P[:, k] * (float(k == j) - P[:, j])
            block = (Xa * weight[:, None]).T @ Xa
            found[k * m : (k + 1) * m, j * m : (j + 1) * m] += block
            if j > k:
                found[j * m : (j + 1) * m, k * m : (k + 1) * m] += block.T
