import pickle
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge as Reference

from expunge.core import Route
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact import ridge
from expunge.exact._learner.fitted import Learned
from expunge.exact._learner.parts import pack
from expunge.exact.ridge import Ridge

SALT = b"a salt for tests, known to all"
Array = NDArray[np.float64]


def regression(n: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    """Columns that depend on each other, on scales from 1e-3 to 1e4, most with an offset of many times their spread."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    y = X @ rng.normal(size=d) + rng.normal(size=n)
    return (X + rng.normal(size=d) * 1e3) * np.geomspace(1e-3, 1e4, d), y + 1e5


def solved(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Ridge by elimination with 19 digits, on centred columns: nothing in common with what is tested."""
    A, b = X.astype(np.longdouble), y.astype(np.longdouble)
    mean, target = A.mean(axis=0), b.mean()
    A, b = A - mean, b - target
    M = np.column_stack([A.T @ A + alpha * np.eye(X.shape[1]), A.T @ b])
    for i in range(len(M)):
        M[i] /= M[i, i]
        for j in range(len(M)):
            if j != i:
                M[j] -= M[j, i] * M[i]
    return M[:, -1].astype(float), float(target - mean @ M[:, -1])


def apart(a: Any, b: Any) -> float:
    return float(np.abs(a.coef_ - b.coef_).max() / np.abs(b.coef_).max())


@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e4])
def test_equals_elimination_with_more_digits_before_and_after_forgetting(alpha: float) -> None:
    X, y = regression(400, 8)
    model = Ridge(alpha=alpha, salt=SALT).fit(X, y)
    for gone in ([], list(range(0, 300, 3)), [301]):
        if gone:
            model.forget(records=gone)
        left = np.setdiff1d(np.arange(400), [r for r in [*range(0, 300, 3), 301] if gone and r <= gone[-1]])
        coef, intercept = solved(X[left], y[left], alpha)
        assert np.abs(model.coef_ - coef).max() <= 1e-12 * np.abs(coef).max()
        assert abs(model.intercept_ - intercept) <= 1e-11 * abs(intercept)


@pytest.mark.parametrize("intercept", [True, False])
def test_is_the_ridge_of_scikit_learn(intercept: bool) -> None:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(300, 12)) + 2, rng.normal(size=300) + 5
    model = Ridge(alpha=3.0, fit_intercept=intercept, salt=SALT).fit(X, y)
    model.forget(records=range(40))
    theirs = Reference(alpha=3.0, fit_intercept=intercept, solver="svd").fit(X[40:], y[40:])
    assert apart(model, theirs) <= 1e-12
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-12, atol=1e-12)


def test_5000_single_deletions_do_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = regression(6000, 12)
    model = Ridge(salt=SALT).fit(X, y)
    counted = _count_recounts(monkeypatch)
    order = np.random.default_rng(2).permutation(6000)
    for i in order[:5000].tolist():
        model.forget(records=[i])
    left = np.sort(order[5000:])
    assert counted == [], "the sums were never counted afresh"
    fresh = Ridge(salt=SALT).fit(X[left], y[left])
    assert apart(model, fresh) <= 1e-14
    inverse = fresh._fitted().learned.inverse
    assert np.abs(model._fitted().learned.inverse - inverse).max() <= 1e-8 * np.abs(inverse).max()

    def plain(rows: Any) -> Array:
        S, s, t = X[rows].T @ X[rows], X[rows].sum(axis=0), X[rows].T @ y[rows]
        for i in [] if rows is left else order[:5000]:
            S, s, t = S - np.outer(X[i], X[i]), s - X[i], t - X[i] * y[i]
        n, total = len(left), y[left].sum()
        return np.asarray(np.linalg.solve(S - np.outer(s, s) / n + np.eye(12), t - s * total / n))

    naive, again = plain(slice(None)), plain(left)
    assert np.abs(naive - again).max() > 1e-10 * np.abs(again).max(), "the control: sums of 16 digits do drift"


def test_a_column_that_becomes_constant_gets_no_weight() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    X[:, 1] = 3.7
    X[17, 1] = 1234.5
    model = Ridge(alpha=1e-8, salt=SALT).fit(X, y)
    assert abs(model.coef_[1]) > 1e-6, "the control: one record makes it count"
    model.forget(records=[17])
    assert abs(model.coef_[1]) <= 1e-15


@pytest.mark.parametrize("size", [1e3, 1e6, 1e7])
def test_a_record_that_outweighs_all_others_leaves_nothing(size: float) -> None:
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(80, 4)), rng.normal(size=80)
    X[5], y[5] = size * rng.normal(size=4), size
    model = Ridge(salt=SALT).fit(X, y)
    model.forget(records=[5])
    fresh = Ridge(salt=SALT).fit(np.delete(X, 5, axis=0), np.delete(y, 5))
    assert apart(model, fresh) <= 1e-12
    assert abs(model.intercept_ - fresh.intercept_) <= 1e-12


def test_weights_that_digits_do_not_determine_are_refused_by_fit_and_by_forget() -> None:
    """One record of 1e8 in all columns makes them one; so does a record that was the only one to tell two apart."""
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    X[5] *= 1e9
    with pytest.raises(InvalidData, match="raise alpha"):
        Ridge(salt=SALT).fit(X, y)
    X[5], X[:, 2] = 1.0, X[:, 1] * 1e6
    X[5, 2] = -1e6
    model = Ridge(alpha=1e-13, salt=SALT).fit(X, y)
    before = model.digest()
    with pytest.raises(InvalidData, match=r"condition is .* limit is 1e"):
        model.forget(records=[5])
    assert model.digest() == before
    assert model.n_records == 60
    with pytest.raises(InvalidData, match="condition"):
        Ridge(alpha=1e-13, salt=SALT).fit(np.delete(X, 5, axis=0), np.delete(y, 5))
    model.forget(records=[6])  # the control: it is that record
    Ridge(alpha=1.0, salt=SALT).fit(np.delete(X, 5, axis=0), np.delete(y, 5))


def test_records_each_larger_than_the_next_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    X[:40, 0] *= np.geomspace(1e20, 10, 40)
    model = Ridge(salt=SALT).fit(X, y)
    counted = _count_recounts(monkeypatch)
    for i in range(40):
        model.forget(records=[i])
    assert 1 <= len(counted) < 20, "what each takes with it adds up, and is noticed in time"
    assert apart(model, Ridge(salt=SALT).fit(X[40:], y[40:])) <= 1e-11


def test_dependent_columns_keep_their_digits() -> None:
    """Against exact fractions: columns that are one but for 1e-4, far from the origin, hardly penalised."""
    rng = np.random.default_rng(8)
    X, y = np.round(rng.normal(size=(40, 2)), 3), np.round(rng.normal(size=40), 3)
    X = np.column_stack([X, X[:, 0] + 2.0**-13 * np.round(rng.normal(size=40), 1)]) + 2.0**20
    model = Ridge(alpha=1e-3, salt=SALT).fit(X, y)
    for i in range(3):
        model.forget(records=[i])
    exact = _by_fractions(X[3:], y[3:], 1e-3)
    assert np.abs(model.coef_ - exact).max() <= 1e-14 * np.abs(exact).max()
    centred = X[3:] - X[3:].mean(axis=0)
    doubles = np.linalg.solve(centred.T @ centred + 1e-3 * np.eye(3), centred.T @ (y[3:] - y[3:].mean()))
    assert np.abs(doubles - exact).max() > 1e-12 * np.abs(exact).max(), "the control: 16 digits do not"


def test_a_state_of_an_earlier_version_opens_and_counts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not know what rounding did to its sums."""
    X, y = regression(60, 3)
    model = Ridge(salt=SALT).fit(X, y)
    state = model._fitted().learned
    monkeypatch.setattr(
        type(state), "parts", lambda self: {**Learned.parts(self), "guess": pack(_guess_of_an_earlier_version(self))}
    )
    model.save(tmp_path / "m")
    monkeypatch.undo()
    loaded = Ridge.load(tmp_path / "m", salt=SALT)
    assert loaded.digest() == model.digest()
    counted = _count_recounts(monkeypatch)
    loaded.forget(records=[0])
    loaded.forget(records=[1])
    assert counted == [59]
    assert apart(loaded, Ridge(salt=SALT).fit(X[2:], y[2:])) == 0


def _guess_of_an_earlier_version(state: Any) -> dict[str, Any]:
    return {"inverse": state.inverse, "sums_low": state.low, "wear": np.zeros(1), "blur": np.zeros(3)}


def _by_fractions(X: Array, y: Array, alpha: float) -> Array:
    rows, target = [[Fraction(v) for v in row] for row in X], [Fraction(v) for v in y]
    d, mean, level = X.shape[1], [sum(c) / len(X) for c in zip(*rows, strict=True)], sum(target) / len(X)
    rows = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
    M = [[sum(r[i] * r[j] for r in rows) + (Fraction(alpha) if i == j else 0) for j in range(d)] for i in range(d)]
    right = [sum(r[i] * (t - level) for r, t in zip(rows, target, strict=True)) for i in range(d)]
    for i in range(d):
        for k in range(d):
            if k != i:
                share = M[k][i] / M[i][i]
                M[k], right[k] = [a - share * b for a, b in zip(M[k], M[i], strict=True)], right[k] - share * right[i]
    return np.array([float(right[i] / M[i][i]) for i in range(d)])


def test_a_column_for_every_category_holds_to_many_digits() -> None:
    """Dummies that add up to one column of ones: only the penalty keeps the problem solvable."""
    rng = np.random.default_rng(6)
    X, y = np.eye(6)[rng.integers(6, size=3000)], rng.normal(size=3000)
    X = np.hstack([X, np.eye(4)[rng.integers(4, size=3000)]])
    model = Ridge(alpha=1e-4, salt=SALT).fit(X, y)
    for i in range(400):
        model.forget(records=[i])
    assert apart(model, Ridge(alpha=1e-4, salt=SALT).fit(X[400:], y[400:])) <= 1e-12


def test_the_last_record_of_a_category_leaves_zeros_without_a_recount(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = np.eye(5)[np.arange(200) % 4] * 0.3, np.linspace(0, 1, 200)
    X[77] = 0.7 * np.eye(5)[4]
    model = Ridge(salt=SALT).fit(X, y)
    counted = _count_recounts(monkeypatch)
    model.forget(records=[77])
    assert counted == []
    assert not model._fitted().learned.high[4].any()
    assert abs(model.coef_[4]) <= 1e-30


def test_a_batch_one_by_one_and_a_refit_agree() -> None:
    X, y = regression(300, 20)
    one, batch, many = (Ridge(salt=SALT).fit(X, y) for _ in range(3))
    for i in range(30):
        one.forget(records=[i])
    assert batch.forget(records=range(30)).plan.route is Route.SUBTRACT
    assert apart(one, batch) <= 1e-13
    assert many.forget(records=range(200)).plan.route is Route.RETRAIN, "taking most away costs more than a fit"
    assert apart(many, Ridge(salt=SALT).fit(X[200:], y[200:])) == 0


def test_one_record_can_be_what_stays() -> None:
    X, y = regression(3, 4)
    model = Ridge(salt=SALT).fit(X, y)
    model.forget(records=[0])
    model.forget(records=[2])
    assert model.predict(X[1:2]) == pytest.approx(y[1:2])
    assert np.abs(model.coef_).max() <= 1e-20


def test_an_error_on_the_way_leaves_the_old_model(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = regression(100, 5)
    model = Ridge(salt=SALT).fit(X, y)
    before, held = model.digest(), pickle.dumps(model)

    def broken(*given: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ridge, "refined", broken)
        with pytest.raises(MemoryError):
            model.forget(records=[0])
    assert model.digest() == before
    assert pickle.loads(held).digest() == before  # noqa: S301
    model.forget(records=[0])
    assert apart(model, Ridge(salt=SALT).fit(X[1:], y[1:])) <= 1e-12


def test_a_deleted_value_is_nowhere(tmp_path: Path) -> None:
    X, y = regression(50, 3)
    X[7, 1], y[7] = 1234.56789, 9876.54321
    model = Ridge(salt=SALT).fit(X, y)
    values = [struct.pack("<d", v) for v in (1234.56789, 9876.54321)]
    assert all(v in pickle.dumps(model) for v in values), "the control: the records are held"
    model.forget(records=[7])
    model.save(tmp_path)
    held = pickle.dumps(model) + b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert not any(v in held for v in values)


def test_what_has_no_unique_solution_or_no_square_is_refused() -> None:
    X, y = regression(20, 2)
    for alpha in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(InvalidParameter, match="alpha"):
            Ridge(alpha=alpha).fit(X, y)
    with pytest.raises(InvalidData, match="unit"):
        Ridge().fit(X * 1e200, y)


def _count_recounts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted: list[int] = []
    count = Ridge._count

    def spy(self: Ridge, X: Any, y: Any) -> Any:
        counted.append(len(X))
        return count(self, X, y)

    monkeypatch.setattr(Ridge, "_count", spy)
    return counted


def test_weights_that_are_zero_but_for_rounding_are_those_of_a_fit_without() -> None:
    rng = np.random.default_rng(0)
    X, constant = rng.normal(size=(50, 3)), np.full(50, 1.1)
    odd = constant.copy()
    odd[0] = 1e9  # once it leaves, the target is constant
    for target in (constant, odd):
        model = Ridge(salt=b"s").fit(X, target)
        model.forget(records=[0])
        assert model.equals(Ridge(salt=b"s").fit(X[1:], target[1:]))


def test_a_target_that_columns_tell_about_is_not_counted_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: what it needs is as slow as a fit, and stays the exception."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5)) * [1, 1e3, 1e-3, 1, 1] + [0, 1e5, 0, 50, 0]
    model = Ridge(salt=b"s").fit(X, X @ [1, 1e-3, 1e3, 1, 0] + rng.normal(size=500) + 1e6)
    monkeypatch.setattr(Ridge, "_count", lambda *_: pytest.fail("counted afresh"))
    for record in range(100):
        model.forget(records=[record])


@pytest.mark.parametrize("times", [1e2, 1e3, 1e4, 1e5])
def test_a_record_much_larger_than_the_others_leaves_an_equal_model(times: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(100, 3))
        y = X @ [1, 2, 3] + rng.normal(size=100)
        X[0], y[0] = X[0] * times, y[0] * times
        model = Ridge(salt=b"s").fit(X, y)
        model.forget(records=[0])
        assert model.equals(Ridge(salt=b"s").fit(X[1:], y[1:]))
