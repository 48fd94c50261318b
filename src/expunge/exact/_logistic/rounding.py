"""What rounding in the gradient can do to the weights: the condition of a logistic regression, from sums over records.

A residual (probability - label) is wrong by `EPSILON` of itself and of what its margin's rounding makes of it, r_i. It
enters the gradient with its record u_i, so errors of residuals move the weights by H⁻¹ Σ r_i u_i: by Cauchy and Schwarz
in weight j by at most the root of (Σ r_i² / p_i) (H⁻¹ L H⁻¹)_jj, where L is the curvature of the losses and H that with
the penalty. Columns of which one is the sum of others do not suffer from these errors, as all of them get the same.
They do suffer from the rounding of each column's own sum, which H⁻¹ multiplies by up to C. These errors are as many as
the records, independent and of either sign, so their squares are added up.
Shapes: K columns of weights [K, d + 1]; factors of H in blocks as in `_logistic/objective.py`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from expunge.exact._logistic.objective import EPSILON, Array, Objective, Records

_SUMMED = 4.0  # rounding of a sum in blocks of `one_pass._BLOCK`, of the root of its terms' squares: five deviations
_IMPOSSIBLE = 1e-6  # a label less likely than this has a residual of 1 that no curvature bounds


@dataclass(frozen=True)
class Rounding:
    """Sums over records at certain weights, that records can be taken out of."""

    residuals: float  # of squared errors of residuals over their probability
    terms: Array  # of squared terms of the gradient [K, d + 1]
    impossible: Array  # of errors of terms, where the label was all but impossible [K, d + 1]

    @classmethod
    def of(cls, objective: Objective, V: Array, records: Records) -> "Rounding":
        residuals, terms, impossible = 0.0, np.zeros(V.shape), np.zeros(V.shape)
        for X, codes in records.blocks():
            Xa = objective.rows(X)
            P, R, errors = _residuals(objective, V, Xa, codes)
            Xa = np.abs(Xa)
            likely = (R < 1 - _IMPOSSIBLE).all(axis=1)
            weight = np.maximum(P if objective.joint else P * (1 - P), np.finfo(float).tiny)
            residuals += float((errors**2 / weight)[likely].sum())
            impossible += errors[~likely].T @ Xa[~likely]
            terms += (R**2).T @ Xa**2
        return cls(residuals, terms, impossible)

    def __add__(self, other: "Rounding") -> "Rounding":
        return Rounding(self.residuals + other.residuals, self.terms + other.terms, self.impossible + other.impossible)

    def __sub__(self, other: "Rounding") -> "Rounding":
        return Rounding(
            self.residuals - other.residuals,
            self.terms - other.terms,
            np.maximum(self.impossible - other.impossible, 0.0),
        )

    def left_of(self, before: "Rounding") -> float:
        """The least share of these sums that is left of those before: too little, and it is rounding itself."""
        some = before.terms > 0
        shares = self.terms[some] / before.terms[some]
        return min(float(shares.min(initial=1.0)), self.residuals / before.residuals if before.residuals else 1.0)

    def moved(self, objective: Objective, factors: list[Any], V: Array) -> Array:
        """By how much weights in the frame can be moved, at most, [K, d + 1]."""
        penalty = objective.penalty(V.shape)
        terms = _SUMMED * EPSILON * np.sqrt(self.terms) + EPSILON * penalty * np.abs(V)
        blocks = [part.reshape(len(factors), -1) for part in (penalty, terms, self.impossible)]
        moved = []
        for (factor, _), penalties, sums, far in zip(factors, *blocks, strict=True):
            inverse = _inverse(factor)
            variance = inverse.diagonal()
            # H⁻¹ L H⁻¹ = H⁻¹ - H⁻¹ (penalty and tie) H⁻¹, and what the rounding of the factors may have taken from it.
            sizes = np.sqrt((np.tril(factor) ** 2).sum(axis=1))
            taken = EPSILON * len(factor) * (np.abs(inverse) @ sizes) ** 2
            tied = objective.tie * (inverse.reshape(len(inverse), -1, V.shape[1]).sum(axis=1) ** 2).sum(axis=1)
            shared = np.maximum(variance - inverse**2 @ penalties - tied, 0.0) + taken
            moved.append(np.sqrt(self.residuals * shared) + np.sqrt(inverse**2 @ sums**2) + np.abs(inverse) @ far)
        found = np.asarray(moved).reshape(V.shape)
        found[:, -1] *= objective.intercept
        return found

    def packed(self) -> dict[str, Any]:
        return {"residuals": self.residuals, "terms": self.terms, "impossible": self.impossible}


def moved_record_by_record(objective: Objective, factor: Any, V: Array, records: Records) -> Array:
    """What `Rounding.moved` bounds, in a pass that takes about as long as a curvature, and closer: [K, d + 1].

    Errors of an ordinary record hardly enter a direction in which only records that are all but certain have curvature,
    as where one class has a single record; Cauchy and Schwarz cannot tell. Of joint classes the most common one takes
    what the others leave (`one_pass.py`), so an error moves weights of its class against those of that one.
    """
    K, m = V.shape
    inverse = _inverse(factor)
    along = inverse.reshape(-1, K, m)
    if objective.joint:
        along = along - along[:, [np.bincount(records.codes[records.alive]).argmax()]]
    moved, terms = np.zeros(K * m), np.zeros(V.shape)
    for X, codes in records.blocks():
        Xa = objective.rows(X)
        _, R, errors = _residuals(objective, V, Xa, codes)
        steps = np.abs(Xa @ along.reshape(-1, m).T).reshape(len(Xa), -1, K)
        moved += np.einsum("njk,nk->j", steps, errors)
        terms += (R**2).T @ Xa**2
    moved += _SUMMED * EPSILON * np.sqrt(np.einsum("jkm,km->j", along**2, terms))
    moved += EPSILON * np.abs(inverse) @ (objective.penalty(V.shape) * np.abs(V)).ravel()
    found: Array = moved.reshape(V.shape)
    found[:, -1] *= objective.intercept
    return found


def _residuals(objective: Objective, V: Array, Xa: Array, codes: Any) -> tuple[Array, Array, Array]:
    """Of rows in the frame: probabilities, sizes of residuals, and what rounding makes of them, [n, K]."""
    P = objective.probabilities(Xa, V)
    R = np.abs(P - (codes[:, None] == (np.arange(len(V)) if len(V) > 1 else 1)))
    margins = (np.abs(Xa) @ np.abs(V).T).max(axis=1, keepdims=True)
    return P, R, EPSILON * (R + P * (1 - P) * margins)


def _inverse(factor: Any) -> Array:
    inverse: Array = linalg.cho_solve((factor, True), np.eye(len(factor)), check_finite=False)
    return inverse
