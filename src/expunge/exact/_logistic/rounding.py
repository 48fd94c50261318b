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
            P = objective.probabilities(Xa, V)
            Y = codes[:, None] == (np.arange(len(V)) if len(V) > 1 else 1)
            Xa, R = np.abs(Xa), np.abs(P - Y)
            margins = (Xa @ np.abs(V).T).max(axis=1, keepdims=True)
            errors = EPSILON * (R + P * (1 - P) * margins)
            likely = (R < 1 - _IMPOSSIBLE).all(axis=1)
            weight = np.maximum(P if objective.joint else P * (1 - P), np.finfo(float).tiny)
            residuals += float((errors**2 / weight)[likely].sum())
            impossible += errors[~likely].T @ Xa[~likely]
            terms += (R**2).T @ Xa**2
        return cls(residuals, terms, impossible)

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
            inverse = linalg.cho_solve((factor, True), np.eye(len(factor)), check_finite=False)
            variance = inverse.diagonal()
            # H⁻¹ L H⁻¹ = H⁻¹ - H⁻¹ (penalty and tie) H⁻¹, and what the rounding of the factors may have taken from it.
            sizes = np.sqrt((np.tril(factor) ** 2).sum(axis=1))
            taken = EPSILON * len(factor) * (np.abs(inverse) @ sizes) ** 2
            tied = objective.tie * (inverse.reshape(len(inverse), -1, V.shape[1]).sum(axis=1) ** 2).sum(axis=1)
            shared = np.maximum(variance - inverse**2 @ penalties - tied, 0.0) + taken
            moved.append(np.sqrt(self.residuals * shared) + np.sqrt(inverse**2 @ sums**2) + np.abs(inverse) @ far)
        return np.asarray(moved).reshape(V.shape)

    def packed(self) -> dict[str, Any]:
        return {"residuals": self.residuals, "terms": self.terms, "impossible": self.impossible}
