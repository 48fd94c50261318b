import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB as Reference

from expunge.exact import GaussianNB

SALT = b"salt"


def data(n: int = 400, offset: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=n)
    return rng.normal(size=(n, 5)) * np.array([1, 2, 0.1, 30, 1]) + y[:, np.newaxis] + offset, y


def everything(model: GaussianNB, folder: Path) -> bytes:
    model.save(folder)
    return pickle.dumps(model) + b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_agrees_with_scikit_learn_on_the_records_that_stay() -> None:
    X, y = data()
    gone = list(range(0, 400, 3))
    model = GaussianNB(salt=SALT).fit(X, y)
    model.forget(records=gone)
    reference = Reference().fit(np.delete(X, gone, axis=0), np.delete(y, gone))
    for name in ("theta_", "var_", "class_prior_", "epsilon_"):
        np.testing.assert_allclose(getattr(model, name), getattr(reference, name), rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), reference.predict_proba(X), rtol=1e-9, atol=1e-12)
    assert (model.predict(X) == reference.predict(X)).all()
    with_all = Reference().fit(X, y)
    assert np.abs(with_all.theta_ - model.theta_).max() > 1e-3, "the control: the records made a difference"


@pytest.mark.parametrize("offset", [1e7, -1e12])
def test_an_offset_changes_no_variance(offset: float) -> None:
    X, y = data(offset=offset)
    model = GaussianNB(salt=SALT).fit(X, y)
    model.forget(records=list(range(100)))
    rest, of = X[100:] - offset, y[100:]  # exact: a difference of near floats
    wanted = np.array([rest[of == c].var(axis=0) for c in range(3)])
    np.testing.assert_allclose(model.var_ - model.epsilon_, wanted, rtol=1e-6, atol=1e-9 * wanted.max())
    squares = np.array([(X[100:][of == c] ** 2).mean(axis=0) - X[100:][of == c].mean(axis=0) ** 2 for c in range(3)])
    assert np.abs(squares / wanted - 1).max() > 1e-3, "the control: float sums of squares lose the variance"


def test_a_feature_that_becomes_constant_within_a_class_has_variance_exactly_zero() -> None:
    X, y = data()
    X[y == 1, 2] = 0.1
    odd = int(np.flatnonzero(y == 1)[5])
    X[odd, 2] = 1e6 / 3
    model = GaussianNB(salt=SALT).fit(X, y)
    before = model.var_[1, 2] - model.epsilon_
    model.forget(records=[odd])
    assert before > 1e6, "the control"
    assert model.var_[1, 2] == model.epsilon_


def test_smoothing_follows_the_records_that_stay() -> None:
    X, y = data()
    X[7, 3] = 1e9
    model = GaussianNB(salt=SALT).fit(X, y)
    before = model.epsilon_
    model.forget(records=[7])
    assert before > 1e3
    assert model.epsilon_ == pytest.approx(1e-9 * np.delete(X, 7, axis=0).var(axis=0).max())


def test_a_class_leaves_with_its_last_record() -> None:
    X, y = data()
    y[3] = 9
    model = GaussianNB(salt=SALT).fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2, 9]
    model.forget(records=[3])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X[:1]).shape == (1, 3)


def test_a_thousand_deletions_leave_no_drift() -> None:
    X, y = data(1200, offset=1e7)
    model = GaussianNB(salt=SALT).fit(X, y)
    for i in range(1000):
        model.forget(records=[i])
    fresh = GaussianNB(salt=SALT).fit(X[1000:], y[1000:])
    assert (model.var_ == fresh.var_).all()
    assert model.digest() == fresh.digest()


def test_equal_records_can_still_be_told_from_others() -> None:
    model = GaussianNB(salt=SALT).fit(np.ones((6, 2)), [0, 0, 0, 1, 1, 1])
    assert np.isfinite(model.predict_proba(np.ones((1, 2)))).all()


def test_a_deleted_value_is_nowhere(tmp_path: Path) -> None:
    X, y = data()
    y[11] = 5  # alone in its class, so its mean is the value itself
    model = GaussianNB(salt=SALT).fit(X, y)
    assert all(value.tobytes() in everything(model, tmp_path / "m") for value in X[11]), "the control"
    model.forget(records=[11])
    held = everything(model, tmp_path / "m")
    assert not any(value.tobytes() in held for value in X[11])
