"""Logistic regression that can forget: to the very minimum of the records that stay, or certifiably close to it.

Source: certified mode, Guo et al. (2020), arXiv:1911.03030, with what is charged as `_logistic/certified.py` says.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality, Guarantee, Plan, Promise, Route
from expunge.core.errors import BudgetSpent, InvalidData, InvalidParameter, NothingLeft, UnreadableModel
from expunge.exact._learner.equality import TOLERANCE
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.parts import pack, unpack
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._logistic import certified
from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.objective import Objective, Records, solve
from expunge.exact._logistic.reference import Reference
from expunge.exact._logistic.rounding import moved_record_by_record
from expunge.exact._logistic.solver import ENOUGH, factors_of, moved, newton, polish, sizes
from expunge.exact._registry import learners

Array = NDArray[np.float64]
_TOLD = TOLERANCE / 4  # of the weights: where rounding in the gradient may move more than this, there is no answer
_MODES, _CHARGES = ("numeric", "certified"), ("residual", "bound")


@dataclass(frozen=True)
class Minimum(Learned):
    """Weights [K, d + 1], the classes that they tell apart, and what makes the next deletion cheap; in certified mode
    the charge of each column [K], and, where that is of the residual, noise and residual [K, d + 1]."""

    classes_: Any
    codes: NDArray[np.int32]  # of the class at every position, 0 where no record is left
    counts: NDArray[np.int64]  # of records of every class
    W: Array
    reference: Reference
    budget_spent_: Any = None
    noise: Any = None
    residual: Any = None

    @property
    def coef_(self) -> Array:
        return self.W[:, :-1]

    @property
    def intercept_(self) -> Array:
        return self.W[:, -1]

    def packed(self) -> dict[str, Any]:
        weights = {"classes": self.classes_, "coef": self.coef_, "intercept": self.intercept_}
        spent = {} if self.budget_spent_ is None else {"spent": self.budget_spent_}
        hidden = {} if self.noise is None else {"noise": self.noise, "residual": self.residual}
        return {**weights, **spent, **hidden}

    def least(self) -> dict[str, float]:
        """Weights that do next to nothing are 0 but for rounding, and an intercept is what is left of products: far from
        the origin it has as many digits as the largest of them."""
        frame = self.reference.frame
        _, _, weights, products = sizes(frame.inside(self.W), frame)
        return {"coef": weights, "intercept": products}

    def parts(self) -> Parts:
        # Apart from what was learned: what makes the next deletion cheap, and is only a cache.
        return {**super().parts(), "reference": pack(self.reference.packed())}

    def sides(self, rows: Rows, gone: Positions) -> tuple[Records, Records]:
        """The records that leave, and those that stay."""
        X: Any = rows.X
        records = Records(X, self.codes, rows.alive)
        return records.only(gone), records.without(gone)

    def counts_without(self, gone: Positions) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = self.counts - np.bincount(self.codes[gone], minlength=len(self.counts))
        return counts

    def without(self, gone: Positions, **changes: Any) -> "Minimum":
        """Another minimum, of which these are the changes, with nothing about these records in codes and counts."""
        codes = self.codes.copy()
        codes[gone] = 0
        return replace(self, codes=codes, counts=self.counts_without(gone), **changes)


@learners.add
class LogisticRegression(ClassifierMixin, Learner):
    """Logistic regression with a penalty |w|² / (2C); more than two classes share a softmax.

    `mode="numeric"`: the objective is scikit-learn's, its intercepts free; several classes' intercepts add up to 0,
    which makes the minimum unique. Guaranteed: after `forget`, weights equal those of a fit without the records to
    1e-10, relative to the largest; an intercept relative to the largest product of a weight and its column's centre,
    where that is larger. Under one condition: rounding in the gradient, multiplied by the inverse of the curvature, moves
    no weight by more than 2.5e-11 of the largest, as given and as what it does to a typical margin. Columns are centred
    and scaled inside (see `_logistic/frame.py`), so offsets, constants and units do not count against it; columns that
    depend on each other do, the more the larger C is. Where records do not keep it, `fit` refuses them, and so does a
    `forget` that would leave such records, which then changes nothing.
    A deletion steps from the old minimum with a kept curvature and exact gradients; what is kept depends on the records
    that stay alone (see `_logistic/reference.py`). Where that does not get there far within the condition, it is a fit
    of the records that stay. `add` goes the same way, and is a fit where a class comes, or in certified mode, whose noise
    belongs to the records there are. Full state.

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
                "noise from random_state can be drawn again by anyone: certify with a secret salt", stacklevel=4
            )
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
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

    def _learn(self, rows: Rows) -> Minimum:
        X, y = rows.live()
        classes, live = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise InvalidData(f"there is one class, {classes.tolist()}, in the data; telling classes apart needs two")
        codes = np.zeros(rows.size, dtype=np.int32)
        codes[rows.alive] = live
        records = Records(X, live.astype(np.int32), np.ones(len(X), dtype=bool))
        objective = self._objective(len(classes), len(X), self._first_frame(records))
        shape = (objective.n_columns, X.shape[1] + 1)
        if self._certified:
            drawn = certified.noise(rows.salt, X, y, shape, float(self.sigma))
            drawn[:, -1] *= float(self.fit_intercept)
            objective = replace(objective, noise=drawn)
        learned = Minimum(classes, codes, np.bincount(live), *_minimum(objective, records))
        return self._charged(learned, objective, records) if self._certified else learned

    def _charged(self, learned: Minimum, objective: Objective, records: Records) -> Minimum:
        """A new minimum with what it already charges: the solver stops short of it."""
        residual = objective.gradient(learned.W, records)
        spent = np.linalg.norm(residual, axis=1)
        if self._epsilon_of(spent) > self.epsilon:
            raise InvalidParameter(
                f"sigma={self.sigma} hides a residual of {self.removal_budget_:.2g}, the solver leaves "
                f"{np.linalg.norm(spent):.2g}; raise sigma"
            )
        if self.charge == "bound":
            return replace(learned, budget_spent_=spent)
        return replace(learned, budget_spent_=spent, noise=objective.noise, residual=residual)

    def _unlearn(self, learned: Minimum, rows: Rows, gone: Positions) -> Minimum:
        if self._certified:
            return self._removed(learned, rows, gone)
        leaving, staying = learned.sides(rows, gone)
        found = self._minimised(learned, staying, leaving, -1)
        if found is None:
            n = rows.n - len(gone)
            found = _minimum(self._objective(len(learned.classes_), n, self._first_frame(staying)), staying)
        return learned.without(gone, W=found[0], reference=found[1])

    def _extend(self, learned: Minimum, rows: Rows, kept: Positions) -> Minimum | None:
        X, new = rows.behind(kept)
        if self._certified or not np.isin(new, learned.classes_).all():
            return None  # noise is drawn for the records there are; a class that comes makes it another problem
        new_codes = np.searchsorted(learned.classes_, new).astype(np.int32)
        codes = np.concatenate([learned.codes[kept], new_codes])
        counts = learned.counts + np.bincount(new_codes, minlength=len(learned.counts))
        held: Any = rows.X
        came = Records(X, new_codes, np.ones(len(X), dtype=bool))
        found = self._minimised(learned, Records(held, codes, rows.alive), came, 1)
        return None if found is None else replace(learned, codes=codes, counts=counts, W=found[0], reference=found[1])

    def _minimised(
        self, learned: Minimum, records: Records, moving: Records, sign: int
    ) -> tuple[Array, Reference] | None:
        """The minimum over these records from that of before, when those that moved had not come (sign 1) or left (-1);
        None where a fit might not answer, or this does not get there."""
        try:
            return self._stepped(learned, records, moving, sign)
        except InvalidData:  # on this way; whether there is another, a fit says
            return None

    def _stepped(
        self, learned: Minimum, records: Records, moving: Records, sign: int
    ) -> tuple[Array, Reference] | None:
        reference, frame = learned.reference, learned.reference.frame
        objective = self._objective(len(learned.classes_), reference.n, frame)
        V = frame.inside(learned.W)
        reference = reference.joined_by(objective, moving) if sign > 0 else reference.without(objective, moving)
        if not reference.sound:
            return None
        factors = factors_of(objective, reference.curvature, V)
        rounding = moved(reference.rounding.moved(objective, factors, V), V, objective)
        if not rounding <= _TOLD / 2:
            return None
        # At the old minimum the gradient over the records there are is that over those that moved: a step without a pass.
        step = -sign * solve(factors, objective.loss_gradient(V, moving))
        before, enough = moved(step, V, objective), max(ENOUGH, rounding)
        polished = polish(objective, records, V + step, factors, before, enough)
        if polished is None or not reference.near(polished):
            return None
        W = frame.outside(polished)
        return W, reference.following(objective, records, W)

    def _objective(self, K: int, n: int, frame: Frame) -> Objective:
        """What n records of K classes are to minimise, in a frame."""
        joint = K > 2 and not self._certified
        tie = n / K**2 if joint else 0.0  # the size is enough: at the minimum it does not matter
        ridge, intercept, columns = 1 / self.C, bool(self.fit_intercept), 1 if K == 2 else K
        return Objective(columns, ridge, intercept, joint, frame, self._certified, tie=tie)

    def _first_frame(self, records: Records) -> Frame:
        """A guess from the first block of records, to start from; certified noise is drawn for columns as given."""
        if self._certified:
            return Frame.plain(records.X.shape[1])
        X, _ = next(records.blocks())
        return Frame.about(X, bool(self.fit_intercept), 1 / np.sqrt(self.C * len(X)))

    # -- the budget ----------------------------------------------------------------------------------------------

    @property
    def removal_budget_(self) -> float:
        """The residual that the noise hides at (epsilon, delta)."""
        return float(self.epsilon / certified.epsilon_per_charge(self.sigma, self.delta))

    @property
    def epsilon_spent_(self) -> float:
        """The epsilon at which what is published now is close to a fit without what left."""
        return self._epsilon_of(self.budget_spent_)

    def _epsilon_of(self, charge: Array) -> float:
        return float(np.linalg.norm(charge)) * certified.epsilon_per_charge(self.sigma, self.delta)

    def _removed(self, learned: Minimum, rows: Rows, gone: Positions) -> Minimum:
        """What a certified removal leads to, with its charge."""
        leaving, staying = learned.sides(rows, gone)
        objective = self._objective(len(learned.classes_), rows.n, learned.reference.frame)
        objective = replace(objective, noise=learned.noise)
        if self.charge == "bound":
            W, added = certified.step_by_bound(objective, staying, leaving, learned.W)
            return learned.without(gone, W=W, budget_spent_=learned.budget_spent_ + added)
        W, residual, reference = certified.step_by_residual(
            objective, staying, leaving, learned.W, learned.residual, learned.reference, self.removal_budget_ / 2
        )
        spent = np.linalg.norm(residual, axis=1)
        return learned.without(gone, W=W, reference=reference, residual=residual, budget_spent_=spent)

    def _planned(self, learned: Minimum, rows: Rows, gone: Positions) -> tuple[Plan, Minimum | None]:
        """The plan. In certified mode the removal is computed, since its charge is not known before."""
        plan, _ = super()._planned(learned, rows, gone)
        if not self._certified or plan.route is Route.RETRAIN:
            return plan, None
        removed = self._removed(learned, rows, gone)
        needed = float(np.linalg.norm(removed.budget_spent_))
        if needed <= self.removal_budget_:
            return plan, removed
        spent = f"removing {len(gone)} records needs residual {needed:.3g}, budget is {self.removal_budget_:.3g}"
        if not self.refit:
            raise BudgetSpent(f"{spent} (epsilon={self.epsilon}, delta={self.delta}); fit again or allow refit=True")
        plan = replace(plan, route=Route.RETRAIN, cost=1.0, notes=(*plan.notes, f"{spent}: refit with fresh noise"))
        return plan, None

    def _cost(self, learned: Minimum, rows: Rows, gone: Positions) -> float:
        left, n_classes = int(np.count_nonzero(learned.counts_without(gone))), len(learned.classes_)
        if left < 2:
            raise NothingLeft(f"{left} class would be left of {n_classes}; telling classes apart needs two")
        if left < n_classes:
            return 1.0  # a class leaves, and with it weights of all others: another problem
        return max(super()._cost(learned, rows, gone), 0.1)

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

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Minimum:
        codes = np.searchsorted(values["classes"], rows.y).astype(np.int32)
        W = np.column_stack([values["coef"], values["intercept"]])
        if "reference" not in parts:
            raise UnreadableModel(
                "this LogisticRegression was saved by an earlier version, whose weights were not held to today's condition; "
                "fit it again"
            )
        reference = Reference.unpacked(unpack(parts["reference"]), rows.n)
        budget = values["spent"] if self._certified else None
        noise, residual = (values.get("noise"), values.get("residual")) if self._certified else (None, None)
        return Minimum(values["classes"], codes, np.bincount(codes), W, reference, budget, noise, residual)

    def decision_function(self, X: Any) -> Array:
        """Log-odds [n] of the second of two classes, or one score per class [n, K]."""
        X = self._query(X)
        Z: Array = (certified.clipped(X, self.radius) if self._certified else X) @ self.coef_.T + self.intercept_
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


def _minimum(objective: Objective, records: Records) -> tuple[Array, Reference]:
    """The minimum over these records, from nothing.

    Raises: InvalidData, where 16 digits do not determine the weights to the tolerance.
    """
    V, objective, left = newton(objective, records)
    W = objective.frame.outside(V)
    reference = Reference.at(objective, records, W)
    if objective.certified:  # what is charged is the gradient that is left, whatever the weights are
        return W, reference
    objective, V = replace(objective, frame=reference.frame), reference.frame.inside(W)
    factors = factors_of(objective, reference.curvature, V)
    rounding = moved(reference.rounding.moved(objective, factors, V), V, objective)
    if not rounding <= _TOLD:  # at a closer look, in the curvature of the very minimum
        factors = factors_of(objective, objective.loss_curvature(V, records), V)
        rounding = moved(moved_record_by_record(objective, factors[0][0], V, records), V, objective)
    if not (rounding <= _TOLD and left <= _TOLD):
        raise InvalidData(
            f"these weights are not determined to {TOLERANCE:g}: columns depend on each other, or records lie so far out, that "
            f"rounding may move them by {max(rounding, left):.0e}; drop columns that repeat others, correct values far out, "
            "or lower C"
        )
    return W, reference
