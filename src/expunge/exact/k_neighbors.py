"""Nearest neighbours that can forget: the model is the records, and a record that leaves is overwritten.

Source: Cover and Hart (1967), "Nearest neighbor pattern classification".
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidParameter
from expunge.exact._k_neighbors.kernel import nearest_records
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.task import ByTask, classifies
from expunge.exact._learner.typed import is_whole
from expunge.exact._registry import learners
from expunge.exact._sums.moments import check_size

TASKS = ("classification", "regression")
WEIGHTS = ("uniform", "distance")


@dataclass(frozen=True)
class Labels(Learned):
    """The classes and how many records each has; of a regression nothing but the records themselves."""

    classes_: Any = None
    class_count: Any = None

    def packed(self) -> dict[str, Any]:
        return {} if self.classes_ is None else {"classes": self.classes_, "class_count": self.class_count}


@learners.add
class KNeighbors(ByTask):
    """The classes or targets of the `n_neighbors` nearest records (Euclidean), or of all where there are fewer.

    Guaranteed: no index is kept beside the records, so nothing but the records that stay decides a prediction; of
    equally near records, those given first to `fit` count as nearer. A class whose last record leaves is gone.
    Cost: a prediction goes through all records; a deletion overwrites a row.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        task: Literal["classification", "regression"] = "classification",
        weights: Literal["uniform", "distance"] = "uniform",
        salt: bytes | None = None,
    ) -> None:
        self.n_neighbors, self.task, self.weights, self.salt = n_neighbors, task, weights, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if not is_whole(self.n_neighbors) or self.n_neighbors < 1:
            raise InvalidParameter(f"n_neighbors must be a whole number of at least 1, got {self.n_neighbors!r}")
        for name, allowed in (("task", TASKS), ("weights", WEIGHTS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameter(f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}")
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=not classifies(self))
        check_size(X)
        if classifies(self):
            check_classification_targets(y)
        return X, y if classifies(self) else y.astype(np.float64)

    def _learn(self, rows: Rows) -> Labels:
        return Labels(*np.unique(rows.live()[1], return_counts=True)) if classifies(self) else Labels()

    def _unlearn(self, learned: Labels, rows: Rows, gone: Positions) -> Labels:
        if not classifies(self):
            return learned
        codes = np.searchsorted(learned.classes_, rows.y[gone])
        left = learned.class_count - np.bincount(codes, minlength=len(learned.classes_))
        return Labels(learned.classes_[left > 0], left[left > 0])

    def _extend(self, learned: Labels, rows: Rows, kept: Positions) -> Labels:
        if not classifies(self):
            return learned
        _, new = rows.behind(kept)
        classes = np.unique(np.concatenate([learned.classes_, new]))
        count = np.bincount(np.searchsorted(classes, new), minlength=len(classes))
        count[np.searchsorted(classes, learned.classes_)] += learned.class_count
        return Labels(classes, count)

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Labels:
        return Labels(values["classes"], values["class_count"]) if classifies(self) else Labels()

    def _votes(self, X: Any) -> tuple[Any, NDArray[np.float64]]:
        """Targets of the nearest records of every row, and what each counts; a row's counts add up to 1."""
        rows, Q = self._fitted().rows, self._query(X)
        found, far = nearest_records(np.ascontiguousarray(Q), rows.X, rows.alive, min(self.n_neighbors, rows.n))
        counts = np.ones_like(far)
        if self.weights == "distance":
            far = np.minimum(far, np.finfo(float).max)  # beyond all numbers, records are equally far
            on_a_record = far[:, :1] == 0  # then the records there decide alone
            counts = np.where(on_a_record, far == 0, 1 / np.sqrt(np.where(far == 0, 1.0, far)))
        return rows.y[found], counts / counts.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """The class with most votes (the first of equals), or the mean target."""
        if classifies(self):
            likeliest = self.predict_proba(X).argmax(axis=1)
            return self.classes_[likeliest]
        targets, counts = self._votes(X)
        return (counts * targets).sum(axis=1)

    @available_if(classifies)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The share of the votes for every class, in the order of `classes_`."""
        targets, counts = self._votes(X)
        share = np.zeros((len(counts), len(self.classes_)))
        np.add.at(share, (np.arange(len(counts))[:, np.newaxis], np.searchsorted(self.classes_, targets)), counts)
        return share
