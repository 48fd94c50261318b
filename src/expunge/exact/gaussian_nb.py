"""Gaussian naive Bayes that can forget: the model is sums, held exactly, and exact sums can be subtracted.

Source: Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample variances", for the
model; deletion by subtraction, Cao and Yang (2015), "Towards making systems forget with machine unlearning".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidParameter
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._registry import learners
from expunge.exact._sums.moments import Moments, check_size


@dataclass(frozen=True)
class Normals(Learned):
    """Exact sums of every class, and the normal distributions that follow from them."""

    classes_: Any
    moments: tuple[Moments, ...]
    class_count_: NDArray[np.int64]
    class_prior_: NDArray[np.float64]
    epsilon_: float
    theta_: NDArray[np.float64]
    var_: NDArray[np.float64]

    @classmethod
    def of(cls, classes: Any, moments: tuple[Moments, ...], var_smoothing: float) -> "Normals":
        counts, means = np.array([m.n for m in moments]), np.array([m.mean for m in moments])
        largest = float(sum(moments[1:], moments[0]).variance.max())
        epsilon = var_smoothing * (largest or 1.0)
        variances = np.array([m.variance for m in moments]) + epsilon
        return cls(classes, moments, counts, counts / counts.sum(), epsilon, means, variances)

    def packed(self) -> dict[str, Any]:
        moments = [m.packed() for m in self.moments]
        return {"classes": self.classes_, "class_count": self.class_count_, "moments": moments}


@learners.add
class GaussianNB(ClassifierMixin, Learner):
    """Naive Bayes with one normal distribution per class and feature.

    Guaranteed: sums and sums of squares are whole numbers without rounding, so after `forget` the model has the same
    bits as a fit without the records. A feature that became constant within a class has variance exactly 0 there, plus
    `var_smoothing` times the largest variance of a feature over the records that stay. A class whose last record
    leaves is gone. Where all records are equal the smoothing is `var_smoothing` itself.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(self, *, var_smoothing: float = 1e-9, salt: bytes | None = None) -> None:
        self.var_smoothing, self.salt = var_smoothing, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if not self.var_smoothing > 0:
            raise InvalidParameter(f"var_smoothing must be > 0, got {self.var_smoothing}; 1e-9 is usual")
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        check_size(X)
        return X, y

    def _learn(self, rows: Rows) -> Normals:
        X, y = rows.live()
        classes = np.unique(y)
        return Normals.of(classes, tuple(Moments.of(X[y == c]) for c in classes), self.var_smoothing)

    def _unlearn(self, learned: Normals, rows: Rows, gone: Positions) -> Normals:
        codes, left = np.searchsorted(learned.classes_, rows.y[gone]), list(learned.moments)
        for code in np.unique(codes).tolist():
            left[code] = left[code] - Moments.of(rows.X[gone[codes == code]])
        stay = np.array([moments.n > 0 for moments in left])
        return Normals.of(learned.classes_[stay], tuple(m for m in left if m.n), self.var_smoothing)

    def _extend(self, learned: Normals, rows: Rows, kept: Positions) -> Normals:
        X, y = rows.behind(kept)
        classes = np.unique(np.concatenate([learned.classes_, y]))
        held = dict(zip(learned.classes_.tolist(), learned.moments, strict=True))
        new = (Moments.of(X[y == c]) for c in classes)
        grown = tuple(held[c] + more if c in held else more for c, more in zip(classes.tolist(), new, strict=True))
        return Normals.of(classes, grown, self.var_smoothing)

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Normals:
        counts = values["class_count"].tolist()
        moments = tuple(Moments.unpacked(n, m) for n, m in zip(counts, values["moments"], strict=True))
        return Normals.of(values["classes"], moments, self.var_smoothing)

    def _joint(self, X: Any) -> NDArray[np.float64]:
        X = self._query(X)
        joint = [
            np.log(prior) - 0.5 * np.log(2 * np.pi * variance).sum() - 0.5 * ((X - mean) ** 2 / variance).sum(axis=1)
            for prior, mean, variance in zip(self.class_prior_, self.theta_, self.var_, strict=True)
        ]
        return np.array(joint).T

    def predict(self, X: Any) -> Any:
        """The likeliest class of each row."""
        likeliest = self._joint(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Log-probability of every class in nats, in the order of `classes_`."""
        joint = self._joint(X)
        log_probability: NDArray[np.float64] = joint - logsumexp(joint, axis=1, keepdims=True)
        return log_probability

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of every class, in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))
