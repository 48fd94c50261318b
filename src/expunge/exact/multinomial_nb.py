"""Multinomial naive Bayes that can forget: the model is counts, and counts can be subtracted.

Source: Manning, Raghavan, Schütze (2008), Introduction to Information Retrieval, ch. 13; deletion by subtraction, Cao
and Yang (2015), "Towards making systems forget with machine unlearning".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_non_negative, validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners

_UNIT = 2.0**-20  # counts are held as whole multiples of this
_LIMIT = 2.0**42  # of the sum of all counts, so that sums of multiples stay below 2^63


@dataclass(frozen=True)
class Counts(Learned):
    """Records of every class, their counts in whole units [C, d], and the logarithms that follow from them."""

    classes_: Any
    class_count_: NDArray[np.int64]
    counts: NDArray[np.int64]
    class_log_prior_: NDArray[np.float64]
    feature_log_prob_: NDArray[np.float64]

    @classmethod
    def of(cls, classes: Any, of_class: NDArray[np.int64], counts: NDArray[np.int64], alpha: float) -> "Counts":
        smoothed = counts * _UNIT + alpha
        feature = np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))
        return cls(classes, of_class, counts, np.log(of_class) - np.log(of_class.sum()), feature)

    def packed(self) -> dict[str, Any]:
        return {"classes": self.classes_, "class_count": self.class_count_, "counts": self.counts}


@learners.add
class MultinomialNB(ClassifierMixin, Learner):
    """Naive Bayes over counts of words or events.

    Guaranteed: counts are held as integers, so after `forget` they have the same bits as a fit without the records; a
    class whose last record leaves is gone. Counts are rounded to multiples of 2^-20, which changes no whole number.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(self, *, alpha: float = 1.0, salt: bytes | None = None) -> None:
        self.alpha, self.salt = alpha, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if not self.alpha > 0:
            raise InvalidParameter(f"alpha must be > 0, got {self.alpha}; 1 is Laplace's, 0.01 nearly none")
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(y)
        check_non_negative(X, "MultinomialNB")
        _check_total(float(X.sum()))
        return X, y

    def _learn(self, rows: Rows) -> Counts:
        X, y = rows.live()
        classes, codes = np.unique(y, return_inverse=True)
        return Counts.of(classes, *_counted(X, codes, len(classes)), self.alpha)

    def _unlearn(self, learned: Counts, rows: Rows, gone: Positions) -> Counts:
        codes = np.searchsorted(learned.classes_, rows.y[gone])
        of_class, counts = _counted(take(rows.X, gone), codes, len(learned.classes_))
        left = learned.class_count_ - of_class
        stay = left > 0
        return Counts.of(learned.classes_[stay], left[stay], (learned.counts - counts)[stay], self.alpha)

    def _extend(self, learned: Counts, rows: Rows, kept: Positions) -> Counts:
        X, y = rows.behind(kept)
        _check_total(float(learned.counts.sum()) * _UNIT + float(X.sum()))
        classes, held = np.unique(np.concatenate([learned.classes_, y])), learned.classes_
        of_class, counts = _counted(X, np.searchsorted(classes, y), len(classes))
        at = np.searchsorted(classes, held)
        of_class[at] += learned.class_count_
        counts[at] += learned.counts
        return Counts.of(classes, of_class, counts, self.alpha)

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Counts:
        return Counts.of(values["classes"], values["class_count"], values["counts"], self.alpha)

    def _joint(self, X: Any) -> NDArray[np.float64]:
        X = self._query(X, accept_sparse="csr")
        joint: NDArray[np.float64] = X @ self.feature_log_prob_.T + self.class_log_prior_
        return joint

    def predict(self, X: Any) -> Any:
        """The likeliest class of each row."""
        likeliest = self._joint(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of every class, in the order of `classes_`."""
        joint = self._joint(X)
        probability: NDArray[np.float64] = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        return probability

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True  # counts are asked for, not the blobs that scikit-learn tests with
        return tags


def _check_total(total: float) -> None:
    if total > _LIMIT:
        raise InvalidData(f"the counts add up to {total:.3g}; at most {_LIMIT:.3g} can be counted exactly")


def _counted(X: Any, codes: Any, n_classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Records of each class, and the sum of their rows in whole units, [C] and [C, d]."""
    n = len(codes)
    of_class = sparse.csr_matrix((np.ones(n, np.int64), (codes, np.arange(n))), shape=(n_classes, n))
    whole = sparse.csr_matrix(X)
    whole = sparse.csr_matrix((np.rint(whole.data / _UNIT).astype(np.int64), whole.indices, whole.indptr), whole.shape)
    return np.bincount(codes, minlength=n_classes), np.asarray((of_class @ whole).todense())
