"""Logistic regression that can forget: to the very minimum of the records that stay, or certifiably close to it.

Source: certified mode, Guo et al. (2020), arXiv:1911.03030, with what is charged as `_logistic/certified.py` says.
"""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality, Guarantee, Plan, Promise, Route
from expunge.core.errors import BudgetSpent, InvalidData, InvalidParameter, NothingLeft
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._logistic import certified
from expunge.exact._logistic.objective import LEAST, Objective, Records, solve
from expunge.exact._logistic.reference import Reference, sums_of_squares
from expunge.exact._logistic.solver import TOLD, factors_of, moved, newton, polish
from expunge.exact._registry import learners

Array = NDArray[np.float64]
_MODES, _CHARGES = ("numeric", "certified"), ("residual", "bound")


@learners.add
class LogisticRegression(ClassifierMixin, Learner):
    """Logistic regression with a penalty |w|² / (2C); more than two classes share a softmax.

    `mode="numeric"`: the objective is scikit-learn's, its intercepts free; several classes' intercepts add up to 0,
    which makes the minimum unique. Guaranteed: after `forget`, weights equal those of a fit without the records to
    1e-10, relative to the largest. A deletion steps from the old minimum with a kept curvature and exact gradients;
    what is kept depends on the records that stay alone (see `_logistic/reference.py`). Full state.

    `mode="certified"`: rows are clipped to the public `radius` (never one taken from data), every class against the
    rest, intercepts penalised, and the objective holds noise of size `sigma`. Guaranteed: what is published, `coef_`
    and `intercept_` after a removal, is (epsilon, delta)-close in law to a fit without the records, for every output
    taken alone. Not covered: the state itself, which holds records that stay, the noise and a curvature; outputs
    before and after a removal, compared with each other (one noise hides both); clipping radius, C, sigma or columns
    chosen by looking at the data. `charge` says what the budget `removal_budget_` is charged with. A removal that
    would exceed it is a refit with fresh noise, or BudgetSpent with `refit=False`.

    A public objective of n records with the paper's lambda has C = 1 / (lambda n).

    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0], [9.0]]), np.array(["a", "a", "b", "b", "a"])
    >>> model = LogisticRegression(salt=b"secret").fit(X, y)
    >>> _ = model.forget(records=[4])
    >>> model.predict([[3.0]])
    array(['b'], dtype='<U1')
    """

    _noise: Array | None
    _residual: Any
    equality = Equality.NUMERIC
    changeable = ("refit",)
    adaptive_safe = True  # numeric mode draws nothing: the result depends on the records that stay alone

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        mode: str = "numeric",
        epsilon: float = 1.0,
        delta: float = 1e-5,
        sigma: float = 1.0,
        radius: float = 1.0,
        charge: str = "residual",
        refit: bool = True,
        random_state: Any = None,
        salt: bytes | None = None,
    ) -> None:
        self.C, self.fit_intercept, self.mode = C, fit_intercept, mode
        self.epsilon, self.delta, self.sigma, self.radius = epsilon, delta, sigma, radius
        self.charge, self.refit, self.random_state, self.salt = charge, refit, random_state, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check_parameters()
        if self._certified and self.salt is None and self.random_state is not None:
            warnings.warn(
                "noise from random_state can be drawn again by anyone: certify with a secret salt", stacklevel=3
            )
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if len(classes := np.unique(y)) < 2:
            raise InvalidData(f"there is one class, {classes.tolist()}, in the data; telling classes apart needs two")
        return (certified.clipped(X, self.radius) if self._certified else X), y

    def _check_parameters(self) -> None:
        for name, choices in (("mode", _MODES), ("charge", _CHARGES)):
            if (given := getattr(self, name)) not in choices:
                raise InvalidParameter(f"{name} must be one of {', '.join(choices)}, got {given!r}")
        for name in ("C", "sigma", "radius"):
            if not 0 < getattr(self, name) < np.inf:
                raise InvalidParameter(f"{name} must be a number > 0, got {getattr(self, name)}")
        if not 0 < self.epsilon <= 1 or not 0 < self.delta < 1:
            raise InvalidParameter(
                f"the certificate's theorem needs 0 < epsilon <= 1 and 0 < delta < 1, got {self.epsilon}, {self.delta}"
            )

    @property
    def _certified(self) -> bool:
        return self.mode == "certified"

    # -- learn and unlearn ---------------------------------------------------------------------------------------

    def _learn(self, rows: Rows) -> None:
        X, y = rows.live()
        self.classes_, live = np.unique(y, return_inverse=True)
        self._codes = np.zeros(rows.size, dtype=np.int32)
        self._codes[rows.alive], self._held = live, np.bincount(live)
        records = Records(X, live.astype(np.int32), np.ones(len(X), dtype=bool))
        objective = self._objective(sums_of_squares(records), len(X))
        shape = (objective.n_columns, X.shape[1] + 1)
        if self._certified:
            drawn = certified.noise(rows.salt, X, y, shape, float(self.sigma))
            drawn[:, -1] *= float(self.fit_intercept)
            objective = replace(objective, noise=drawn)
        self._put(*_minimum(objective, records, shape))
        if self._certified:
            self._begin_budget(objective, records)

    def _begin_budget(self, objective: Objective, records: Records) -> None:
        self._residual = objective.gradient(self._W, records)
        self.budget_spent_ = np.linalg.norm(self._residual, axis=1)  # the solver stops short of the minimum: charged
        if self.epsilon_spent_ > self.epsilon:
            raise InvalidParameter(
                f"sigma={self.sigma} hides a residual of {self.removal_budget_:.2g}, the solver leaves "
                f"{np.linalg.norm(self.budget_spent_):.2g}; raise sigma"
            )
        self._noise = objective.noise if self.charge == "residual" else None

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        records = self._records(rows)
        leaving, staying = records.only(gone), records.without(gone)
        if self._certified:
            found = self.__dict__.pop("_removal", None)
            if found is None or found[0] != gone.tobytes():
                found = self._removed(rows, gone)
            _, W, reference, self._residual, self.budget_spent_ = found
        else:
            try:
                W, reference = self._minimised(staying, leaving)
            except InvalidData:  # no way leads from the old minimum to the new one; a fit's may
                objective = self._objective(sums_of_squares(staying), rows.n - len(gone))
                W, reference = _minimum(objective, staying, self._W.shape)
        self._put(W, reference)
        self._held = self._held - np.bincount(self._codes[gone], minlength=len(self._held))
        self._codes = self._codes.copy()
        self._codes[gone] = 0

    def _minimised(self, staying: Records, leaving: Records) -> tuple[Array, Reference]:
        W, reference = self._W, self._reference
        objective = self._objective(reference.squares, reference.n)
        reference = reference.without(objective, leaving)
        if not reference.sound:
            reference = Reference.at(objective, staying, W)
        factors = factors_of(objective, reference.curvature, W)
        # At the old minimum the gradient over those who stay is minus that over those who leave: a step without a pass.
        step = solve(factors, objective.loss_gradient(W, leaving))
        W = polish(objective, staying, W + step, factors, before=moved(step, W, objective))
        return W, reference.following(objective, staying, W)

    def _put(self, W: Array, reference: Reference) -> None:
        self._W, self._reference = W, reference
        self.coef_, self.intercept_ = W[:, :-1], W[:, -1]

    def _objective(self, squares: Array, n: int) -> Objective:
        K = len(self.classes_)
        joint = K > 2 and not self._certified
        tie = np.append(squares, n) / K**2 if joint else None  # sizes are enough: at the minimum they do not matter
        ridge, intercept, columns = 1 / self.C, bool(self.fit_intercept), 1 if K == 2 else K
        return Objective(columns, ridge, intercept, joint, self._certified, tie=tie, least=_least(squares, n))

    def _records(self, rows: Rows) -> Records:
        X: Any = rows.X
        return Records(X, self._codes, rows.alive)

    # -- the budget ----------------------------------------------------------------------------------------------

    @property
    def removal_budget_(self) -> float:
        """The residual that the noise hides at (epsilon, delta)."""
        return float(self.epsilon / certified.epsilon_per_charge(self.sigma, self.delta))

    @property
    def epsilon_spent_(self) -> float:
        """The epsilon at which what is published now is close to a fit without what left."""
        charged = float(np.linalg.norm(self.budget_spent_))
        return charged * certified.epsilon_per_charge(self.sigma, self.delta)

    def _removed(self, rows: Rows, gone: Positions) -> tuple[bytes, Array, Reference, Any, Array]:
        """What a certified removal would lead to, with its charge. Changes nothing."""
        records = self._records(rows)
        leaving, staying = records.only(gone), records.without(gone)
        objective = replace(self._objective(self._reference.squares, rows.n), noise=self._noise)
        if self.charge == "bound":
            W, added = certified.step_by_bound(objective, staying, leaving, self._W)
            return gone.tobytes(), W, self._reference, None, self.budget_spent_ + added
        W, residual, reference = certified.step_by_residual(
            objective, staying, leaving, self._W, self._residual, self._reference, self.removal_budget_ / 2
        )
        return gone.tobytes(), W, reference, residual, np.linalg.norm(residual, axis=1)

    def _planned(self, gone: Positions) -> Plan:
        plan = super()._planned(gone)
        if not self._certified or plan.route is Route.RETRAIN:
            return plan
        removal = self._removed(self._rows, gone)
        needed = float(np.linalg.norm(removal[-1]))
        if needed <= self.removal_budget_:
            self._removal = removal  # `forget` goes on from here; `plan` lets go of it
            return plan
        spent = f"removing {len(gone)} records needs residual {needed:.3g}, budget is {self.removal_budget_:.3g}"
        if not self.refit:
            raise BudgetSpent(f"{spent} (epsilon={self.epsilon}, delta={self.delta}); fit again or allow refit=True")
        return replace(plan, route=Route.RETRAIN, cost=1.0, notes=(*plan.notes, f"{spent}: refit with fresh noise"))

    def plan(self, subjects: Any = None, records: Any = None) -> Plan:
        """What forgetting would do and cost. In certified mode this computes the removal, to know its charge.

        Raises: as every learner's, and BudgetSpent.
        """
        try:
            return super().plan(subjects, records)
        finally:
            self.__dict__.pop("_removal", None)

    def _refuse(self, rows: Rows, gone: Positions) -> None:
        left = self._classes_left(gone)
        if left < 2:
            raise NothingLeft(f"{left} class would be left of {len(self.classes_)}; telling classes apart needs two")

    def _cost(self, rows: Rows, gone: Positions) -> float:
        if self._classes_left(gone) < len(self.classes_):
            return 1.0  # a class leaves, and with it weights of all others: another problem
        return max(super()._cost(rows, gone), 0.1)

    def _classes_left(self, gone: Positions) -> int:
        return int(np.count_nonzero(self._held - np.bincount(self._codes[gone], minlength=len(self._held))))

    def promise(self) -> Promise:
        if not self._certified:
            return super().promise()
        return Promise(
            guarantee=Guarantee.CERTIFIED,
            adaptive_safe=False,
            scope="output only: coef_ and intercept_ as published after a removal, each time alone",
            assumptions=(
                *self.assumptions,
                f"epsilon={self.epsilon}, delta={self.delta}, sigma={self.sigma}, charged by {self.charge}",
                f"radius={self.radius}, C and columns are public; what makes the features has not seen the records",
                "salt and state stay secret: the noise follows from one, the other holds it, and records",
                "the residual is taken as given, as in arXiv:1911.03030",
            ),
        )

    # -- state and use -------------------------------------------------------------------------------------------

    def _learned(self) -> dict[str, Any]:
        found = {"classes": self.classes_, "coef": self.coef_, "intercept": self.intercept_, **self._reference.packed()}
        if self._certified:
            found |= {"spent": self.budget_spent_}
            found |= {"noise": self._noise, "residual": self._residual} if self._noise is not None else {}
        return found

    def _compared(self) -> dict[str, Any]:
        """Weights beside the least that count, so that those that are 0 but for rounding are not compared by digits."""
        learned = self._learned()
        coef = np.append(learned["coef"], _least(learned["squares"], self._reference.n))
        return {**learned, "coef": coef, "intercept": np.append(learned["intercept"], np.abs(coef).max())}

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        self.classes_ = learned["classes"]
        self._codes = np.searchsorted(self.classes_, rows.y).astype(np.int32)
        self._held = np.bincount(self._codes)
        W = np.column_stack([learned["coef"], learned["intercept"]])
        self._put(W, Reference(learned["point"], learned["squares"], learned["curvature"], rows.n))
        if self._certified:
            self.budget_spent_ = learned["spent"]
            self._noise, self._residual = learned.get("noise"), learned.get("residual")

    def decision_function(self, X: Any) -> Array:
        """Log-odds [n] of the second of two classes, or one score per class [n, K]."""
        X = self._asked(X)
        Z = (certified.clipped(X, self.radius) if self._certified else X) @ self.coef_.T + self.intercept_
        return Z[:, 0] if Z.shape[1] == 1 else Z

    def predict(self, X: Any) -> Any:
        """The likeliest class of each row."""
        Z = self.decision_function(X)
        return self.classes_[(Z > 0).astype(int) if Z.ndim == 1 else Z.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Probability of every class, in the order of `classes_`."""
        Z = self.decision_function(X)
        if Z.ndim == 1:
            return np.column_stack([expit(-Z), expit(Z)])
        P: Array = expit(Z) if self._certified else softmax(Z, axis=1)
        P /= P.sum(axis=1, keepdims=True)
        return P


def _minimum(objective: Objective, records: Records, shape: tuple[int, ...]) -> tuple[Array, Reference]:
    """The minimum over these records, from nothing.

    Raises: InvalidData.
    """
    W = newton(objective, records, np.zeros(shape))
    reference = Reference.at(objective, records, W)
    factors = factors_of(objective, reference.curvature, W)
    W = polish(objective, records, W, factors)
    left = moved(solve(factors, objective.gradient(W, records)), W, objective)
    if left > TOLD:
        warnings.warn(
            f"16 digits determine these weights to about {left:.0e} only; bring the columns to similar scales or lower C",
            linalg.LinAlgWarning,
            stacklevel=5,
        )
    return W, reference


def _least(squares: Array, n: int) -> float:
    """A weight that does `LEAST` to a margin, in a column of the largest size."""
    size = float(np.sqrt(squares.max() / n))
    return LEAST / size if size > 0 else LEAST
