"""A scaler that can forget: mean and variance from exact sums, which can be subtracted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_array, validate_data

from expunge.core import Equality
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.transformer import Transformer
from expunge.exact._registry import learners
from expunge.exact._sums.moments import Moments, check_size


@dataclass(frozen=True)
class Spread(Learned):
    """Exact sums over the records, and what follows from them."""

    moments: Moments
    n_samples_seen_: int
    mean_: NDArray[np.float64]
    var_: NDArray[np.float64]
    scale_: NDArray[np.float64]

    @classmethod
    def of(cls, moments: Moments) -> "Spread":
        mean, variance = moments.mean, moments.variance
        return cls(moments, moments.n, mean, variance, np.sqrt(np.where(variance > 0, variance, 1.0)))

    def packed(self) -> dict[str, Any]:
        return {"n": self.moments.n, "moments": self.moments.packed()}


@learners.add
class StandardScaler(OneToOneFeatureMixin, Transformer):
    """Subtracts the mean of every feature and divides by its standard deviation (divisor n).

    Guaranteed: sums and sums of squares are whole numbers without rounding, so after `forget` mean and scale have the
    same bits as those of a fit without the records. The scale of a feature is 1 where it is constant: the variance of a
    constant is exactly 0, also when it became constant by a deletion; and where its spread is below 1e-162, whose
    square no number can hold.
    Not guaranteed: that anything fitted on the output has forgotten; every plan says so.
    """

    equality = Equality.BITWISE
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(self, *, with_mean: bool = True, with_std: bool = True, salt: bytes | None = None) -> None:
        self.with_mean, self.with_std, self.salt = with_mean, with_std, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        X = validate_data(self, X, dtype=np.float64)
        check_size(X)
        return X, None

    def _learn(self, rows: Rows) -> Spread:
        return Spread.of(Moments.of(rows.live()[0]))

    def _unlearn(self, learned: Spread, rows: Rows, gone: Positions) -> Spread:
        return Spread.of(learned.moments - Moments.of(rows.X[gone]))

    def _extend(self, learned: Spread, rows: Rows, kept: Positions) -> Spread:
        return Spread.of(learned.moments + Moments.of(rows.behind(kept)[0]))

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Spread:
        return Spread.of(Moments.unpacked(values["n"], values["moments"]))

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Rows with mean 0 and standard deviation 1, where the rows are those of the fit."""
        scaled: NDArray[np.float64] = self._query(X)
        if self.with_mean:
            scaled = scaled - self.mean_
        return scaled / self.scale_ if self.with_std else scaled

    def inverse_transform(self, X: Any) -> NDArray[np.float64]:
        """Rows as they were before `transform`."""
        self._fitted()
        rows: NDArray[np.float64] = check_array(X, dtype=np.float64)
        if self.with_std:
            rows = rows * self.scale_
        return rows + self.mean_ if self.with_mean else rows
