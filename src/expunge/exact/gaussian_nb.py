"""Gaussian naive Bayes that can forget: the model is sums, held exactly, and exact sums can be subtracted.

Source: Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample variances", for the
model; deletion by subtraction, Cao and Yang (2015), "Towards making systems forget with machine unlearning".
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidParameter
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._registry import learners
from expunge.exact._sums.moments import Moments, check_size


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

    def _learn(self, rows: Rows) -> None:
        X, y = rows.live()
        self.classes_ = np.unique(y)
        self._derive([Moments.of(X[y == c]) for c in self.classes_])

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        codes, left = np.searchsorted(self.classes_, rows.y[gone]), list(self._moments)
        for code in np.unique(codes).tolist():
            left[code] = left[code] - Moments.of(rows.X[gone[codes == code]])
        stay = np.array([moments.n > 0 for moments in left])
        self.classes_ = self.classes_[stay]
        self._derive([moments for moments in left if moments.n])

    def _learned(self) -> dict[str, Any]:
        return {
            "classes": self.classes_,
            "class_count": self.class_count_,
            "moments": [moments.packed() for moments in self._moments],
        }

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        self.classes_ = learned["classes"]
        counts = learned["class_count"].tolist()
        self._derive([Moments.unpacked(n, m) for n, m in zip(counts, learned["moments"], strict=True)])

    def _derive(self, moments: list[Moments]) -> None:
        self._moments = moments
        self.class_count_ = np.array([m.n for m in moments])
        self.class_prior_ = self.class_count_ / self.class_count_.sum()
        largest = float(sum(moments[1:], moments[0]).variance.max())
        self.epsilon_ = self.var_smoothing * (largest or 1.0)
        self.theta_ = np.array([m.mean for m in moments])
        self.var_ = np.array([m.variance for m in moments]) + self.epsilon_

    def _joint(self, X: Any) -> NDArray[np.float64]:
        X = self._asked(X)
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
