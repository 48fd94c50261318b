"""Ridge regression that can forget: the solution depends on sums over records, and sums can be subtracted from.

Source: Hoerl and Kennard (1970), "Ridge regression", Technometrics 12(1); deletion by the formula of Sherman and
Morrison (1950), here only as a guess that is then refined against the exact sums, so that nothing drifts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner.equality import TOLERANCE
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.parts import pack, unpack
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners
from expunge.exact._sums.linear_sums import (
    Normal,
    accumulate,
    centred,
    downdated,
    inflation,
    moved_by_rounding,
    refined,
)

Array = NDArray[np.float64]
CONDITION = 1e13  # up to this the inverse of 16 digits has some that are right, which is all that refinement needs
_LARGEST = 1e150  # the square of a larger value is no number
_TOLD = TOLERANCE / 4  # of the weights: where rounding in the sums may move more than this, there is no answer
_SURE = 1e-13  # of the weights: where it may move more than this, a deletion counts the sums afresh
_NOTHING = 1e-6  # of the target's size: weights that tell less about it are as good as 0
_LOST = 2.0**-40  # a sum that falls below this share of itself is all zeros, or no longer to be trusted
_CONVERGED = 1e-12  # last step of the refinement, relative to the weights
_LEAST_SHARE = (
    1e-6  # of a direction's curvature that must stay, or be there, for its inverse to be updated and not computed
)


@dataclass(frozen=True)
class Solution(Learned):
    """The weights; the sums that they follow from, as `high` + `low`; and what makes the next deletion cheap."""

    coef_: Array
    intercept_: float
    high: Array
    low: Array
    mean: Array  # of columns and target
    inverse: Array  # of the curvature, as a guess
    rounded: Array  # of columns and target: how much has been added and taken, for what rounding did to the sums

    def packed(self) -> dict[str, Any]:
        return {"coef": self.coef_, "intercept": np.array([self.intercept_]), "sums": self.high}

    def least(self) -> dict[str, float]:
        """An intercept is what is left of products: far from the origin it has as many digits as the largest of them."""
        return {"intercept": max(abs(float(self.mean[-1])), float(np.abs(self.coef_ * self.mean[:-1]).max()))}

    def parts(self) -> Parts:
        # Apart from what was learned: an inverse has as many right digits as the problem allows, and is only a guess;
        # the second 16 digits of sums are there to be worn away.
        guess = {"inverse": self.inverse, "sums_low": self.low, "rounded": self.rounded}
        return {**super().parts(), "guess": pack(guess)}


@learners.add
class Ridge(RegressorMixin, Learner):
    """Least squares with a penalty `alpha` on the squared weights; the intercept is not penalised.

    Minimises |y - Xw - b|² + alpha |w|², as scikit-learn's Ridge does; alpha > 0, so there is one solution.

    Guaranteed: weights after `forget` equal those of a fit without the records to 1e-10, relative to the largest; an
    intercept relative to the largest product of a weight and a mean, where that is larger. Under one condition: the
    variance of no weight is multiplied by more than 1e13 by what its column shares with others (`inflation` in
    `_sums/linear_sums.py`: what a large alpha bounds and no change of unit alters), and rounding in the sums moves no
    weight by more than 2.5e-11. Where records do not keep it, `fit` refuses them, and so does a `forget` that would
    leave such records, which then changes nothing.
    State: sums of products with 32 digits, from which curvature and means are derived again at every deletion; an
    inverse that is only ever a guess; and bounds on what rounding has done to the sums. Where they are not far within
    the condition (a record that outweighed all others a billion times has left, or a target is left that no column
    tells anything about), a deletion counts the sums afresh from the records that stay: as slow as a fit, and equal to it.

    Cost of a deletion: of order d² for one record, whatever n is. A fit is of order n d², about 20 times
    scikit-learn's, for the sake of the digits.

    >>> X, y = np.array([[0.0], [1.0], [2.0], [50.0]]), np.array([1.0, 3.0, 5.0, 0.0])
    >>> model = Ridge(alpha=1e-9, salt=b"secret").fit(X, y)
    >>> _ = model.forget(records=[3])
    >>> model.predict([[10.0]]).round(6)
    array([21.])
    """

    equality = Equality.NUMERIC
    adaptive_safe = True  # nothing is random: the result depends on the records that stay, and on nothing else

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True, salt: bytes | None = None) -> None:
        self.alpha, self.fit_intercept, self.salt = alpha, fit_intercept, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        if not 0 < self.alpha < np.inf:
            raise InvalidParameter(
                f"alpha must be > 0, got {self.alpha}: without a penalty there can be many solutions, and none to equal"
            )
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        if len(X) and max(np.abs(X).max(), np.abs(y).max()) > _LARGEST:
            raise InvalidData(f"a value exceeds {_LARGEST:g}, and its square no number can hold; change the unit")
        return X, y

    def _learn(self, rows: Rows) -> Solution:
        return self._count(*rows.live())

    def _count(self, X: Any, y: Any) -> Solution:
        """Sums over these records, and all that follows from them.

        Raises: InvalidData, where the digits of the sums do not determine the weights to the tolerance.
        """
        m = X.shape[1] + 2
        high, low = np.zeros((m, m)), np.zeros((m, m))
        for start in range(0, len(X), 4096):
            accumulate(high, low, _columns(X[start : start + 4096], y[start : start + 4096]), 1.0)
        normal = self._normal(high, low)
        inverse = _inverse(normal.curvature)
        coef, last_step = refined(normal, inverse, np.zeros(m - 2), 20)
        rounded = len(X) * high.diagonal()[:-1]
        condition = inflation(normal.curvature, inverse)
        determined = _NOTHING * np.sqrt(high[-2, -2] / max(normal.curvature.diagonal().max(), 1e-300))
        moved = moved_by_rounding(inverse, rounded, coef, normal.mean, determined)
        if not (condition <= CONDITION and last_step <= _CONVERGED and moved <= _TOLD):
            raise InvalidData(
                f"these weights are not determined to {TOLERANCE:g}: columns depend on each other, or records lie so far out, "
                f"that their condition is {condition:.0e} (the limit is {CONDITION:.0e}) and rounding may move them by "
                f"{moved:.0e}; raise alpha, drop columns that repeat others, or correct values far out"
            )
        return Solution(coef, self._intercept(coef, normal.mean), high, low, normal.mean, inverse, rounded)

    def _unlearn(self, learned: Solution, rows: Rows, gone: Positions) -> Solution:
        Z = _columns(take(rows.X, gone), rows.y[gone])
        high, low = learned.high.copy(), learned.low.copy()
        accumulate(high, low, Z, -1.0)
        rounded = learned.rounded + len(Z) * learned.high.diagonal()[:-1]
        emptied = np.flatnonzero(~(high.diagonal() >= _LOST * learned.high.diagonal()))
        if len(emptied):
            X, y = rows.retained(gone)
            if _columns(X, y)[:, emptied].any():
                return self._count(X, y)
            for part in (high, low):
                part[emptied], part[:, emptied] = 0.0, 0.0
            rounded[emptied] = 0.0
        inverse = self._updated(learned, Z, -1)
        return self._followed(learned, high, low, rounded, inverse) or self._count(*rows.retained(gone))

    def _extend(self, learned: Solution, rows: Rows, kept: Positions) -> Solution | None:
        Z = _columns(*rows.behind(kept))
        high, low = learned.high.copy(), learned.low.copy()
        accumulate(high, low, Z, 1.0)
        rounded = learned.rounded + len(Z) * high.diagonal()[:-1]
        return self._followed(learned, high, low, rounded, self._updated(learned, Z, 1))

    def _followed(
        self, learned: Solution, high: Array, low: Array, rounded: Array, inverse: Array | None
    ) -> Solution | None:
        """The solution of these sums from another's, with a guess of the inverse; None where that is not sure to be it."""
        normal, last_step = self._normal(high, low), np.inf
        if inverse is not None:
            coef, last_step = refined(normal, inverse, learned.coef_, 4)
        if inverse is None or last_step > _CONVERGED:
            inverse = _inverse(normal.curvature)
            coef, last_step = refined(normal, inverse, learned.coef_, 20)
        # Far within what `_count` asks, so that it would answer too; else it decides, over all records there are.
        sure = last_step <= _CONVERGED and inflation(normal.curvature, inverse) <= CONDITION / 4
        if not (sure and moved_by_rounding(inverse, rounded, coef, normal.mean, 0.0) <= _SURE):
            return None
        return Solution(coef, self._intercept(coef, normal.mean), high, low, normal.mean, inverse, rounded)

    def _normal(self, high: Array, low: Array) -> Normal:
        return centred(high, low, float(self.alpha), bool(self.fit_intercept))

    def _updated(self, learned: Solution, Z: Array, sign: int) -> Array | None:
        """The inverse with these records (sign 1) or without (-1); None where computing it is cheaper or safer."""
        inverse = learned.inverse
        if len(Z) * 4 > len(inverse):
            return None
        n, mean = float(learned.high[-1, -1]), learned.mean[:-1]
        for z in Z:
            u = z[:-2] - mean
            inverse, stays = downdated(inverse, u, -sign * n / (n + sign) if self.fit_intercept else -float(sign))
            if not _LEAST_SHARE <= stays <= 1 / _LEAST_SHARE:
                return None
            if self.fit_intercept:
                mean = mean + sign * u / (n + sign)
            n += sign
        return inverse

    def _intercept(self, coef: Array, mean: Array) -> float:
        return float(mean[-1] - mean[:-1] @ coef) if self.fit_intercept else 0.0

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Solution:
        guess = unpack(parts["guess"])
        high, low = values["sums"], guess["sums_low"]
        intercept, mean = float(values["intercept"][0]), self._normal(high, low).mean
        # Saved before this was kept: nothing is known of the rounding, so the next deletion counts afresh.
        rounded = guess.get("rounded", np.full(len(mean), 1e300))
        return Solution(values["coef"], intercept, high, low, mean, guess["inverse"], rounded)

    def predict(self, X: Any) -> Any:
        """The expected target of each row."""
        return self._query(X) @ self.coef_ + self.intercept_


def _columns(X: Any, y: Any) -> Array:
    """Features, target and ones side by side, so that sums of products hold sums and the count too."""
    columns = np.ones((len(X), X.shape[1] + 2))
    columns[:, :-2], columns[:, -2] = X, y
    return columns


def _inverse(curvature: Array) -> Array:
    """Inverse of a positive definite matrix, of columns brought to one scale first: units must not cost digits."""
    scale = 1 / np.sqrt(curvature.diagonal())
    values, vectors = linalg.eigh(curvature * np.outer(scale, scale), check_finite=False)
    # Rounding can leave a direction no curvature, or less than none; then the inverse is a poorer guess.
    inverse = vectors / np.maximum(values, np.finfo(float).eps * values[-1]) @ vectors.T
    return np.ascontiguousarray((inverse + inverse.T) / 2 * np.outer(scale, scale))
