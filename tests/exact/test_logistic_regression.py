import json
import pickle
from dataclasses import replace
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import ks_2samp, norm
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.utils.estimator_checks import check_estimator

from expunge.core import Equality, Guarantee, Route
from expunge.core.errors import BudgetSpent, InvalidData, InvalidParameter, NothingLeft, UnreadableModel
from expunge.exact import logistic_regression
from expunge.exact._learner.equality import difference
from expunge.exact._logistic.certified import epsilon_per_charge
from expunge.exact._logistic.reference import GRID
from expunge.exact._logistic.solver import newton
from expunge.exact.logistic_regression import LogisticRegression

SALT = b"a salt for tests, known to all"
Array = NDArray[np.float64]


def classes(n: int, d: int, k: int = 2, seed: int = 0) -> tuple[Array, Any]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.2 * rng.normal(size=(d, d)))
    y = (X @ rng.normal(size=(d, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return X, np.array(["a", "b", "c", "d", "e"])[y]


def certified(**settings: Any) -> LogisticRegression:
    settings = {"mode": "certified", "C": 0.1, "sigma": 5.0, "radius": 2.0, "salt": SALT, **settings}
    return LogisticRegression(**settings)


def learned(model: LogisticRegression) -> Any:
    return model._fitted().learned


def distance(a: Any, b: Any) -> float:
    return float(np.abs(learned(a).W - learned(b).W).max())


# -- numeric ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("intercept", [True, False])
def test_is_the_minimum_that_scikit_learn_finds(k: int, intercept: bool) -> None:
    X, y = classes(400, 5, k)
    model = LogisticRegression(C=0.7, fit_intercept=intercept, salt=SALT).fit(X, y)
    model.forget(records=range(50))
    theirs = Reference(C=0.7, fit_intercept=intercept, solver="newton-cg", tol=1e-12, max_iter=1000).fit(X[50:], y[50:])
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-7)
    np.testing.assert_allclose(model.intercept_, theirs.intercept_, atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-7)
    assert (model.predict(X) == theirs.predict(X)).all()


@pytest.mark.parametrize("k", [2, 3])
def test_100_deletions_equal_a_fit_without_curvature_and_all(k: int) -> None:
    X, y = classes(3000, 6, k)
    model = LogisticRegression(salt=SALT).fit(X, y)
    order = np.random.default_rng(1).permutation(3000)[:100]
    for i in order.tolist():
        model.forget(records=[i])
    left = np.setdiff1d(np.arange(3000), order)
    fresh = LogisticRegression(salt=SALT).fit(X[left], y[left])
    assert difference(learned(model).packed(), learned(fresh).packed()) <= 1e-11


def test_a_kept_curvature_remembers_nothing_of_what_left() -> None:
    X, y = classes(2000, 4)
    X[9] = 6.0
    model = LogisticRegression(salt=SALT).fit(X, y)
    before = learned(model).reference
    model.forget(records=[9])
    fresh = LogisticRegression(salt=SALT).fit(np.delete(X, 9, axis=0), np.delete(y, 9))
    scale = np.abs(learned(fresh).reference.curvature).max()
    assert np.abs(learned(model).reference.curvature - learned(fresh).reference.curvature).max() <= 1e-13 * scale
    np.testing.assert_array_equal(learned(model).reference.point, learned(fresh).reference.point)
    assert np.abs(before.curvature - learned(fresh).reference.curvature).max() > 1e-5 * scale, (
        "the control: the old one does"
    )


def test_a_deletion_takes_a_few_passes_and_seldom_a_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = classes(20_000, 10)
    model, count = LogisticRegression(salt=SALT).fit(X, y), _passes(monkeypatch)
    _, records = learned(model).sides(model._fitted().rows, np.arange(0))
    newton(model._objective(2, 20_000, model._first_frame(records)), records)
    assert count["curvatures"] >= 5
    count.update(gradients=0, curvatures=0)
    for i in range(40):
        model.forget(records=[i])
    assert count["gradients"] <= 40 * 7
    assert count["curvatures"] <= 20


def test_large_batches_and_odd_records_still_reach_the_minimum() -> None:
    X, y = classes(500, 4, 3)
    X[3] *= 1e4
    X[7, 2] = -1e6
    model = LogisticRegression(C=10.0, salt=SALT).fit(X, y)
    model.forget(records=[3])
    model.forget(records=[7, *range(100, 300)])
    left = np.setdiff1d(np.arange(500), [3, 7, *range(100, 300)])
    fresh = LogisticRegression(C=10.0, salt=SALT).fit(X[left], y[left])
    assert difference(learned(model).packed(), learned(fresh).packed()) <= 1e-11


def test_a_class_that_leaves_takes_its_label_and_its_weights_along(tmp_path: Path) -> None:
    X, y = classes(90, 3, 3)
    y = np.where(np.arange(90) == 40, "only-one-has-this", y)
    model = LogisticRegression(salt=SALT).fit(X, y)
    assert model.coef_.shape == (4, 3)
    plan = model.plan(records=[40])
    assert plan.route is Route.RETRAIN
    assert model.forget(records=[40]).plan == plan
    assert model.coef_.shape == (3, 3)
    model.save(tmp_path)
    held = pickle.dumps(model) + b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    for coding in ("utf-8", "utf-32-le"):
        assert "only-one".encode(coding) not in held


def test_one_class_is_too_few() -> None:
    X, y = classes(60, 2)
    with pytest.raises(InvalidData, match="one class"):
        LogisticRegression().fit(X, np.zeros(60))
    for model in (LogisticRegression(salt=SALT), certified()):
        model.fit(X, y)
        with pytest.raises(NothingLeft, match="1 class"):
            model.forget(records=np.flatnonzero(y == "a").tolist())


def test_gaps_change_no_bit(tmp_path: Path) -> None:
    X, y = classes(3000, 5, 3)
    for model in (LogisticRegression(salt=SALT), certified(), certified(charge="bound")):
        model.fit(X, y).forget(records=range(0, 2000, 9))
        model.save(tmp_path / "m")
        compact = LogisticRegression.load(tmp_path / "m", salt=SALT)
        for i in (1, 2, 2999):
            model.forget(records=[i])
            compact.forget(records=[i])
        assert model.digest() == compact.digest()


def test_parameters_out_of_range_are_refused_before_anything_is_done() -> None:
    X, y = classes(40, 2)
    wrong: list[dict[str, Any]] = [
        {"C": 0.0},
        {"mode": "sure"},
        {"mode": "certified", "epsilon": 1.5},
        {"mode": "certified", "delta": 0.0},
        {"mode": "certified", "sigma": 0.0},
        {"mode": "certified", "radius": -1.0},
        {"mode": "certified", "charge": "nothing"},
        {"mode": "certified", "sigma": 1e-17},
    ]
    for settings in wrong:
        with pytest.raises(InvalidParameter):
            LogisticRegression(**settings, salt=SALT).fit(X, y)


# -- certified -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:noise from random_state")
def test_certified_mode_keeps_the_conventions_of_scikit_learn() -> None:
    check_estimator(LogisticRegression(mode="certified", sigma=0.01, radius=10.0, C=10.0, random_state=0))


def test_it_promises_what_it_proves_and_no_more() -> None:
    X, y = classes(60, 2)
    promise = certified(epsilon=0.5).fit(X, y).promise()
    assert (promise.guarantee, promise.equality, promise.adaptive_safe) == (Guarantee.CERTIFIED, None, False)
    assert "output only" in promise.scope
    assert any("epsilon=0.5" in a for a in promise.assumptions)
    assert LogisticRegression(salt=SALT).fit(X, y).promise().equality is Equality.NUMERIC


@pytest.mark.parametrize("charge", ["residual", "bound"])
def test_a_removal_goes_towards_the_retrained_weights(charge: str) -> None:
    """The sign. The noise is that of the fit, so that retraining differs by the records alone."""
    X, y = classes(400, 4, 3)
    model = certified(charge=charge).fit(X, y)
    noise = _noise(model)
    gone = list(range(20))
    retrained = _minimum(model, noise, gone)
    before = float(np.abs(learned(model).W - retrained).max())
    model.forget(records=gone)
    assert float(np.abs(learned(model).W - retrained).max()) < before / 20
    assert before > 1e-3, "the control: the records count"


@pytest.mark.parametrize("k", [2, 4])
def test_the_bound_is_never_below_the_residual_it_bounds(k: int) -> None:
    rng = np.random.default_rng(2)
    X, y = classes(300, 4, k)
    X[:30] *= 5
    model = certified(charge="bound", sigma=100.0).fit(X, y)
    noise, old = _noise(model), learned(model).W
    for _ in range(40):
        left = model._fitted().rows.positions()
        model.forget(records=rng.choice(left, int(rng.integers(1, 5)), replace=False).tolist())
        assert (_residual(model, noise, learned(model).W) <= model.budget_spent_).all()
    assert (model.budget_spent_ < _residual(model, noise, old)).all(), "and below what doing nothing would leave"


def test_what_is_charged_by_residual_is_the_residual() -> None:
    X, y = classes(300, 4, 3)
    model = certified().fit(X, y)
    noise = _noise(model)
    for i in range(30):
        model.forget(records=[i])
        np.testing.assert_allclose(
            model.budget_spent_, _residual(model, noise, learned(model).W), rtol=1e-6, atol=1e-12
        )
    assert model.epsilon_spent_ <= 0.5 * model.epsilon + 1e-12


@pytest.mark.parametrize("charge", ["residual", "bound"])
def test_doing_nothing_is_charged_most(charge: str) -> None:
    X, y = classes(300, 4)
    model = certified(charge=charge).fit(X, y)
    noise, old = _noise(model), learned(model).W
    model.forget(records=[0, 1, 2])
    assert _residual(model, noise, old).sum() > 20 * model.budget_spent_.sum()


def test_rows_are_clipped_to_the_public_radius_and_to_nothing_else() -> None:
    X, y = classes(200, 3)
    X[0] *= 1e6
    model = certified(radius=1.5).fit(X, y)
    length = np.linalg.norm(model._fitted().rows.X, axis=1)
    assert length.max() <= 1.5 + 1e-12
    short = np.linalg.norm(X, axis=1) <= 1.5
    np.testing.assert_array_equal(model._fitted().rows.X[short], X[short])
    np.testing.assert_array_equal(model.decision_function(X[:1]), model.decision_function(X[:1] * 10))


def test_what_the_solver_leaves_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = classes(200, 3)
    sharp = certified(charge="bound").fit(X, y)
    assert 0 < sharp.budget_spent_[0] < 1e-9
    monkeypatch.setattr(logistic_regression, "newton", lambda *given: (newton(*given)[0] + 1e-3, *newton(*given)[1:]))
    blunt = certified(charge="bound").fit(X, y)
    assert blunt.budget_spent_[0] > 1e-3
    blunt.forget(records=[0])
    assert blunt.budget_spent_[0] > 1e-3


def test_noise_is_never_used_twice() -> None:
    X, y = classes(200, 3, 3)
    model = certified(sigma=0.5, epsilon=0.01).fit(X, y)
    first = learned(model).noise
    assert first is not None
    assert (learned(certified(sigma=0.5).fit(X, y)).noise == first).all(), "the same fit is the same fit"
    assert np.abs(learned(certified(sigma=0.5).fit(X[1:], y[1:])).noise - first).min() > 1e-6
    changed = np.where(np.arange(200) == 0, y[1], y)
    if (changed != y).any():
        assert np.abs(learned(certified(sigma=0.5).fit(X, changed)).noise - first).min() > 1e-6
    assert np.abs(learned(certified(sigma=0.5, salt=b"another").fit(X, y)).noise - first).min() > 1e-6
    flat = np.sort(first.ravel())
    assert np.diff(flat).min() > 1e-9, "columns have noise of their own"


def test_noise_that_anyone_can_draw_again_comes_with_a_warning() -> None:
    X, y = classes(60, 2)
    with pytest.warns(UserWarning, match="secret salt"):
        certified(salt=None, random_state=0).fit(X, y)
    assert (
        np.abs(learned(certified(salt=None).fit(X, y)).noise - learned(certified(salt=None).fit(X, y)).noise).min()
        > 1e-6
    )


def test_predictions_are_of_the_new_weights() -> None:
    X, y = classes(200, 3)
    model = certified(radius=100.0).fit(X, y)
    before = model.decision_function(X)
    model.forget(records=[0, 5])
    np.testing.assert_allclose(
        model.decision_function(X), X @ learned(model).W[0, :-1] + learned(model).W[0, -1], rtol=1e-12
    )
    assert np.abs(model.decision_function(X) - before).max() > 1e-4


def test_a_removal_beyond_the_budget_is_refused_or_a_refit_with_fresh_noise() -> None:
    X, y = classes(200, 3)
    model = certified(charge="bound", sigma=0.2, epsilon=0.5, refit=False).fit(X, y)
    removed, before, words = _until_refused(model)
    assert removed >= 2
    assert "budget is 0.0205 (epsilon=0.5, delta=1e-05)" in words
    assert model.digest() == before, "and nothing has changed"
    with pytest.raises(BudgetSpent):
        model.plan(records=[removed])
    model.set_params(refit=True)
    plan = model.plan(records=[removed])
    assert (plan.route, plan.cost) == (Route.RETRAIN, 1.0)
    assert "fresh noise" in plan.notes[0]
    assert "_removal" not in vars(model), "a plan keeps nothing"
    assert model.forget(records=[removed]).plan == plan
    assert model.epsilon_spent_ < 1e-6
    fresh = certified(charge="bound", sigma=0.2, epsilon=0.5).fit(X[removed + 1 :], y[removed + 1 :])
    assert distance(model, fresh) == 0


def test_budgets_of_several_classes_add_up_as_squares() -> None:
    X, y = classes(300, 3, 4)
    model = certified(charge="bound", sigma=50.0).fit(X, y)
    model.forget(records=range(10))
    assert model.budget_spent_.shape == (4,)
    assert (model.budget_spent_ > 0).all()
    expected = np.sqrt((model.budget_spent_**2).sum()) * sqrt(2 * log(1.5 / 1e-5)) / 50.0
    assert model.epsilon_spent_ == pytest.approx(expected)


def test_the_budget_is_below_what_two_normal_laws_allow() -> None:
    """Balle and Wang (2018), arXiv:1805.06530: the exact delta of two normal laws that lie `shift` apart."""
    for epsilon in np.linspace(0.02, 1.0, 30):
        for delta in np.geomspace(1e-12, 0.1, 30):
            shift = epsilon / epsilon_per_charge(sigma=1.0, delta=delta)
            a, b = shift / 2, epsilon / shift
            assert norm.cdf(a - b) - exp(epsilon) * norm.cdf(-a - b) <= delta


def test_removal_and_retraining_can_hardly_be_told_apart_and_without_noise_they_can() -> None:
    """One batch that spends a good part of the budget, over many salts; projected where the difference is largest."""
    rng = np.random.default_rng(3)
    X, y = classes(60, 2)
    X[:6] *= 4
    gone, draws = list(range(6)), 300
    settings: dict[str, Any] = {"charge": "bound", "C": 0.25, "sigma": 4.0}
    removed, kept, retrained, spent = [], [], [], []
    for _ in range(draws):
        model = certified(salt=rng.bytes(16), **settings).fit(X, y)
        kept.append(learned(model).W.ravel())
        if model.forget(records=gone).plan.route is Route.SUBTRACT:
            spent.append(model.epsilon_spent_)
        removed.append(learned(model).W.ravel())
        retrained.append(learned(certified(salt=rng.bytes(16), **settings).fit(X[6:], y[6:])).W.ravel())
    assert len(spent) > 0.9 * draws, "nearly all are removals, not refits"
    assert np.median(spent) > 0.2
    p, beyond = _told_apart(removed, retrained)
    assert beyond <= 1e-5 + 3 / sqrt(draws / 2), "no cut beats (epsilon, delta), up to three standard errors"
    assert p > 1e-3
    assert _told_apart(kept, retrained)[0] < 1e-3, "the control: a model that was not changed is found"


def test_what_noise_does_not_hide_is_found() -> None:
    """The control of the test before: the same removals with nearly no noise, as if the budget were never looked at."""
    rng = np.random.default_rng(4)
    X, y = classes(60, 2)
    X[:6] *= 4
    removed, retrained = [], []
    for _ in range(60):
        model = certified(charge="bound", sigma=1e-4, salt=rng.bytes(16)).fit(X, y)
        removed.append(model._removed(learned(model), model._fitted().rows, np.arange(6)).W.ravel())
        retrained.append(learned(certified(sigma=1e-4, salt=rng.bytes(16)).fit(X[6:], y[6:])).W.ravel())
    assert _told_apart(removed, retrained)[0] < 1e-9


# -- helpers ---------------------------------------------------------------------------------------------------------


def _plain_gradient(model: LogisticRegression, W: Array, left: Any) -> Array:
    """Of losses and penalty, written out: nothing of the learner's own."""
    X = np.column_stack([model._fitted().rows.X[left], np.ones(len(left))])
    y = np.searchsorted(model.classes_, model._fitted().rows.y[left])
    Y = y[:, None] if len(W) == 1 else (y[:, None] == np.arange(len(W)))
    return (1 / (1 + np.exp(-X @ W.T)) - Y).T @ X + W / model.C


def _noise(model: LogisticRegression) -> Array:
    """At the minimum the noise is what the rest of the gradient is not."""
    return -_plain_gradient(model, learned(model).W, model._fitted().rows.positions())


def _residual(model: LogisticRegression, noise: Array, W: Array) -> Array:
    return np.asarray(np.linalg.norm(_plain_gradient(model, W, model._fitted().rows.positions()) + noise, axis=1))


def _minimum(model: LogisticRegression, noise: Array, gone: list[int]) -> Array:
    """By plain Newton steps, column after column."""
    left = np.setdiff1d(model._fitted().rows.positions(), gone)
    X, W = np.column_stack([model._fitted().rows.X[left], np.ones(len(left))]), learned(model).W.copy()
    for _ in range(20):
        gradient = _plain_gradient(model, W, left) + noise
        for k in range(len(W)):
            p = 1 / (1 + np.exp(-X @ W[k]))
            W[k] -= np.linalg.solve((X * (p * (1 - p))[:, None]).T @ X + np.eye(X.shape[1]) / model.C, gradient[k])
    return W


def _until_refused(model: LogisticRegression) -> tuple[int, str, str]:
    """How many records left one by one, the digest then, and the words of the refusal."""
    for i in range(model.n_records):
        before = model.digest()
        try:
            model.forget(records=[i])
        except BudgetSpent as e:
            return i, before, str(e)
    raise AssertionError("never refused")


def _told_apart(a: list[Array], b: list[Array]) -> tuple[float, float]:
    """p-value of a difference in law along the line that separates best, and by how much a cut beats e times chance."""
    A, B = np.array(a), np.array(b)
    w = np.linalg.solve(np.cov(A[::2].T) + np.cov(B[::2].T), A[::2].mean(axis=0) - B[::2].mean(axis=0))
    p, q = A[1::2] @ w, B[1::2] @ w  # the line is drawn on one half, looked along with the other
    beyond = -np.inf
    for x, z in ((p, q), (q, p), (-p, -q), (-q, -p)):
        beyond = max(beyond, *(float((x > cut).mean() - exp(1) * (z > cut).mean()) for cut in [*x, *z]))
    return float(ks_2samp(p, q).pvalue), beyond


def _passes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    count = {"gradients": 0, "curvatures": 0}
    objective = logistic_regression.Objective
    gradient, curvature = objective.gradient, objective.loss_curvature

    def count_gradient(self: Any, W: Any, records: Any) -> Any:
        count["gradients"] += 1
        return gradient(self, W, records)

    def count_curvature(self: Any, W: Any, records: Any) -> Any:
        count["curvatures"] += len(records.X) > 100  # of the records that leave it costs nothing
        return curvature(self, W, records)

    monkeypatch.setattr(objective, "gradient", count_gradient)
    monkeypatch.setattr(objective, "loss_curvature", count_curvature)
    return count


def test_weights_that_are_zero_are_found_and_compared_as_such() -> None:
    """A balanced design: nothing says anything about the label, so what is left of the weights is rounding."""
    X = np.array([[i * 7 % 10, i % 4] for i in range(60)], dtype=float)
    y = np.array(["yes" if i % 3 else "no" for i in range(60)])
    model = LogisticRegression(salt=b"s").fit(X, y)
    assert np.abs(model.coef_).max() < 1e-14
    X, y = np.vstack([X, [[3.0, 1.0]]]), np.append(y, "no")
    forgot = LogisticRegression(salt=b"s").fit(X, y)
    assert not forgot.equals(model), "the control"
    forgot.forget(records=[60])
    assert forgot.equals(model)


def test_where_no_way_leads_from_the_old_minimum_a_fit_of_those_who_stay_does() -> None:
    X = np.full((5, 9), 0.1)
    for y in ([0, 1, 0, 1, 0], [0, 1, 1, 1, 0]):
        model = LogisticRegression(C=100.0, fit_intercept=False, salt=b"s").fit(X, y)
        model._minimised = lambda *_: None  # type: ignore[method-assign]
        model.forget(records=[0])
        del model._minimised
        assert model.equals(LogisticRegression(C=100.0, fit_intercept=False, salt=b"s").fit(X[1:], y[1:]))


@pytest.mark.filterwarnings("error")
def test_two_constant_columns_are_as_exact_as_one() -> None:
    rng = np.random.default_rng(1)
    X, y = np.column_stack([rng.normal(size=(60, 5)), np.full((60, 2), 3.0)]), rng.integers(0, 3, 60)
    model = LogisticRegression(C=100.0, salt=b"s").fit(X, y)
    model.forget(records=[3, 4])
    keep = [i for i in range(60) if i not in (3, 4)]
    assert model.equals(LogisticRegression(C=100.0, salt=b"s").fit(X[keep], y[keep]))


def test_weights_that_digits_do_not_determine_are_refused_by_fit_and_by_forget() -> None:
    """Two columns are one but for two records, of either class; without them only a penalty of 1e-8 bounds the weights."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 3)), np.tile([0, 1], 30)
    X[:, 2] = X[:, 1]
    X[[4, 5], 2] = -X[[4, 5], 1] + 1
    rest = np.arange(60) > 5
    rest[:4] = True
    model = LogisticRegression(C=1e8, salt=b"s").fit(X, y)
    before = model.digest()
    with pytest.raises(InvalidData, match="not determined to 1e-10"):
        model.forget(records=[4, 5])
    assert model.digest() == before
    assert model.n_records == 60
    with pytest.raises(InvalidData, match="lower C"):
        LogisticRegression(C=1e8, salt=b"s").fit(X[rest], y[rest])
    model.forget(records=[6, 7])  # the controls: it is those records, and C
    LogisticRegression(C=1.0, salt=b"s").fit(X[rest], y[rest])


def test_a_column_is_found_however_small_its_right_weight() -> None:
    """One value of 1e8: its column's weight is 1e-8, and a step that is small beside the other weights is large for it."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 4))
        y = (X @ rng.normal(size=4) + 0.3 * rng.logistic(size=60) > 0).astype(int)
        X[int(rng.integers(60)), 0] = 1e8
        model = LogisticRegression(C=1e4, salt=b"s").fit(X, y)
        z = X @ model.coef_[0] + model.intercept_[0]
        P = expit(z)
        gradient = np.append(X.T @ (P - y) + model.coef_[0] / 1e4, (P - y).sum())
        # Of the decrement: what is left to gain, in nats.
        Xa = np.column_stack([X, np.ones(60)])
        H = (Xa * (P * (1 - P))[:, None]).T @ Xa + np.diag([1e-4] * 4 + [0.0])
        scale = np.sqrt(H.diagonal())
        scaled = gradient / scale
        assert scaled @ np.linalg.solve(H / np.outer(scale, scale), scaled) <= 1e-12


@pytest.mark.parametrize("offset", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("k", [2, 3])
def test_neither_constants_nor_offsets_cost_digits(offset: float, k: int) -> None:
    """The same model as on the columns as they are, but for the intercept; and the same after a deletion."""
    X, y = classes(200, 3, k)
    far = np.insert(X + offset, 1, -7.0 * offset, axis=1)
    near, model = (LogisticRegression(C=50.0, salt=b"s").fit(data, y) for data in (X, far))
    for gone in ([], [4, 9]):
        if gone:
            near.forget(records=gone)
            model.forget(records=gone)
        coef = np.insert(near.coef_, 1, 0.0, axis=1)
        assert np.abs(model.coef_ - coef).max() <= 1e-16 * offset + 1e-12  # of the values as they are rounded there
    assert model.equals(LogisticRegression(C=50.0, salt=b"s").fit(np.delete(far, [4, 9], 0), np.delete(y, [4, 9])))


def test_a_cache_at_a_border_of_its_grid_makes_no_difference() -> None:
    """Two models of one minimum, of which one keeps a curvature of the next place on the grid."""
    X, y = classes(100, 3)
    model, other = (LogisticRegression(salt=SALT).fit(X, y) for _ in range(2))
    reference = learned(model).reference
    moved = replace(reference, point=reference.point + GRID, curvature=reference.curvature * 1.01)
    other._state = replace(other._fitted(), learned=replace(learned(other), reference=moved))
    assert other.equals(model)
    assert other.digest() == model.digest()
    for each in (model, other):
        each.forget(records=[3])
    assert other.equals(model)
    wrong = replace(learned(other), W=learned(other).W * (1 + 1e-9))
    other._state = replace(other._fitted(), learned=wrong)
    assert not other.equals(model), "the control: weights do"


def test_a_state_of_an_earlier_version_is_refused_in_a_sentence(tmp_path: Path) -> None:
    X, y = classes(60, 2)
    LogisticRegression(salt=SALT).fit(X, y).save(tmp_path / "m")
    description = json.loads((tmp_path / "m" / "expunge.json").read_text())
    assert description["parts"].pop("reference")  # earlier versions kept it among the weights
    (tmp_path / "m" / "expunge.json").write_text(json.dumps(description))
    with pytest.raises(UnreadableModel, match=r"earlier version.*fit it again"):
        LogisticRegression.load(tmp_path / "m", salt=SALT)
