"""Ridge regression that can forget: the solution depends on sums over records, and sums can be subtracted from.

Source: Hoerl and Kennard (1970), "Ridge regression", Technometrics 12(1); deletion by the formula of Sherman and
Morrison (1950), here only as a guess that is then refined against the exact sums, so that nothing drifts.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact._learner import parts as _parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows, take
from expunge.exact._registry import learners
from expunge.exact._sums.linear_sums import ROUNDING, accumulate, amplified, centred, downdated, growth, refined

_LARGEST = 1e150  # the square of a larger value is no number
_BLURRED = 1e-12  # share of the largest weight that rounding in the right-hand side may move; beyond it likewise
_WORN = 1e-13  # share of the solution that rounding in the sums may move; beyond it they are counted afresh
_LOST = 2.0**-40  # a sum that falls below this share of itself is all zeros, or no longer to be trusted
_CONVERGED = 1e-12  # last step of the refinement, relative to the weights
_LEAST_SHARE = 1e-6  # of a direction's curvature that must stay for its inverse to be updated and not computed


@learners.add
class Ridge(RegressorMixin, Learner):
    """Least squares with a penalty `alpha` on the squared weights; the intercept is not penalised.

    Minimises |y - Xw - b|² + alpha |w|², as scikit-learn's Ridge does; alpha > 0, so there is one solution.

    Guaranteed: weights after `forget` equal those of a fit without the records to 1e-10, relative to the largest.
    State: sums of products with 32 digits, from which curvature and means are derived again at every deletion; an
    inverse that is only ever a guess; and bounds on what rounding has done to the sums. Where a deletion
    takes so much with it that the bound is exceeded (a record that outweighs all others a billion times), or leaves a
    target that no column tells anything about (a constant one, whose weights are 0 but for rounding), the sums are
    counted afresh from the records that stay: as slow as a fit, and equal to it.

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

    def _learn(self, rows: Rows) -> None:
        X, y = rows.live()
        self._count(X, y)

    def _count(self, X: Any, y: Any) -> None:
        """Sums over these records, and all that follows from them."""
        m = X.shape[1] + 2
        high, low = np.zeros((m, m)), np.zeros((m, m))
        for start in range(0, len(X), 4096):
            accumulate(high, low, _columns(X[start : start + 4096], y[start : start + 4096]), 1.0)
        curvature, right, mean = centred(high, low, float(self.alpha), bool(self.fit_intercept))
        inverse = _inverse(curvature)
        coef, last_step = refined(curvature, right, inverse, np.zeros(m - 2), 20)
        if last_step > _CONVERGED:
            warnings.warn(
                "the columns are so dependent, or of so different sizes, that 16 digits do not determine the weights; "
                "raise alpha, or bring records and columns to similar sizes",
                linalg.LinAlgWarning,
                stacklevel=4,
            )
        self._put(high, low, inverse, coef, mean)
        self._wear, self._blur = ROUNDING * len(X) * amplified(high, inverse), _rounding(len(X), high)

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        Z = _columns(take(rows.X, gone), rows.y[gone])
        # New arrays, not in place: an error on the way must leave the old model whole.
        high, low, before = self._high.copy(), self._low.copy(), self._inverse
        accumulate(high, low, Z, -1.0)
        emptied = np.flatnonzero(~(high.diagonal() >= _LOST * self._high.diagonal()))
        if len(emptied):
            X, y = rows.kept(gone)
            if _columns(X, y)[:, emptied].any():
                self._count(X, y)
                return
            for part in (high, low):
                part[emptied], part[:, emptied] = 0.0, 0.0
        curvature, right, mean = centred(high, low, float(self.alpha), bool(self.fit_intercept))
        inverse, last_step = self._updated(Z, before), np.inf
        if inverse is not None:
            coef, last_step = refined(curvature, right, inverse, self.coef_, 4)
        if last_step > _CONVERGED:
            inverse = _inverse(curvature)
            coef, last_step = refined(curvature, right, inverse, self.coef_, 20)
        wear = self._wear * growth(before, inverse) + ROUNDING * len(Z) * amplified(self._high, inverse)
        blur = self._blur + _rounding(len(Z), self._high)
        clear = (np.abs(np.asarray(inverse)) @ blur).max() <= _BLURRED * np.abs(coef).max()
        if clear and wear * len(right) <= _WORN and last_step <= _CONVERGED:
            self._put(high, low, inverse, coef, mean)
            self._wear, self._blur = wear, blur
        else:
            self._count(*rows.kept(gone))

    def _updated(self, Z: NDArray[np.float64], inverse: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The inverse without these records, or None where computing it is cheaper or safer."""
        if len(Z) * 4 > len(inverse):
            return None
        n, mean = float(self._high[-1, -1]), self._mean[:-1]
        for z in Z:
            u = z[:-2] - mean
            inverse, stays = downdated(inverse, u, n / (n - 1) if self.fit_intercept else 1.0)
            if not stays >= _LEAST_SHARE:
                return None
            if self.fit_intercept:
                mean = mean - u / (n - 1)
            n -= 1
        return inverse

    def _put(self, high: Any, low: Any, inverse: Any, coef: Any, mean: Any) -> None:
        self._high, self._low, self._inverse, self.coef_, self._mean = high, low, inverse, coef, mean
        self.intercept_ = float(mean[-1] - mean[:-1] @ coef) if self.fit_intercept else 0.0

    def _learned(self) -> dict[str, Any]:
        return {
            "coef": self.coef_,
            "intercept": np.array([self.intercept_]),
            "sums": self._high,
        }

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        self.coef_, self.intercept_ = learned["coef"], float(learned["intercept"][0])
        self._high = learned["sums"]

    def _learned_parts(self) -> dict[str, bytes]:
        # Apart from what was learned: an inverse has as many right digits as the problem allows, and is only a guess;
        # the second 16 digits of sums are there to be worn away.
        kept = {"inverse": self._inverse, "sums_low": self._low, "wear": np.array([self._wear]), "blur": self._blur}
        return {**super()._learned_parts(), "guess": _parts.pack(kept)}

    def _restore_parts(self, parts: dict[str, bytes], rows: Rows) -> None:
        super()._restore_parts(parts, rows)
        guess = _parts.unpack(parts["guess"])
        self._inverse, self._low, self._blur = guess["inverse"], guess["sums_low"], guess["blur"]
        self._wear = float(guess["wear"][0])
        *_, self._mean = centred(self._high, self._low, float(self.alpha), bool(self.fit_intercept))

    def predict(self, X: Any) -> Any:
        """The expected target of each row."""
        return self._asked(X) @ self.coef_ + self.intercept_


def _columns(X: Any, y: Any) -> NDArray[np.float64]:
    """Features, target and ones side by side, so that sums of products hold sums and the count too."""
    columns = np.ones((len(X), X.shape[1] + 2))
    columns[:, :-2], columns[:, -2] = X, y
    return columns


def _rounding(n: int, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What rounding n records can have done to each column's product with the target, at most, by Cauchy and Schwarz."""
    sizes = np.sqrt(sums.diagonal())
    bound: NDArray[np.float64] = ROUNDING * n * sizes[:-2] * sizes[-2]
    return bound


def _inverse(curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a positive definite matrix, of columns brought to one scale first: units must not cost digits."""
    scale = 1 / np.sqrt(curvature.diagonal())
    values, vectors = linalg.eigh(curvature * np.outer(scale, scale), check_finite=False)
    # Rounding can leave a direction no curvature, or less than none; then the inverse is a poorer guess.
    inverse = vectors / np.maximum(values, np.finfo(float).eps * values[-1]) @ vectors.T
    return np.ascontiguousarray((inverse + inverse.T) / 2 * np.outer(scale, scale))
