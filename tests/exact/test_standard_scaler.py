import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler as Reference

from expunge.core.errors import InvalidData
from expunge.exact import StandardScaler

SALT = b"salt"


def data(n: int = 300) -> Any:
    return np.random.default_rng(0).normal(size=(n, 4)) * np.array([1, 1e-3, 50, 2]) + np.array([0, 1, 1e7, -3])


def everything(model: StandardScaler, folder: Path) -> bytes:
    model.save(folder)
    return pickle.dumps(model) + b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("settings", [{}, {"with_mean": False}, {"with_std": False}])
def test_agrees_with_scikit_learn_on_the_records_that_stay(settings: dict[str, bool]) -> None:
    X = data()
    model = StandardScaler(**settings, salt=SALT).fit(X)
    model.forget(records=list(range(0, 300, 2)))
    reference = Reference(**settings).fit(X[1::2])
    np.testing.assert_allclose(model.mean_, reference.mean_ if reference.mean_ is not None else 0, rtol=1e-12)
    np.testing.assert_allclose(model.transform(X), reference.transform(X), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, rtol=1e-12)
    with_all = Reference(**settings).fit(X).transform(X)
    assert np.abs(with_all - model.transform(X)).max() > 1e-3 or settings == {"with_mean": False}, "the control"


def test_a_column_that_becomes_constant_has_scale_exactly_one() -> None:
    X = data()
    X[:, 1] = 0.1
    X[8, 1] = 8.1
    model = StandardScaler(salt=SALT).fit(X)
    assert model.scale_[1] > 0.1, "the control"
    model.forget(records=[8])
    assert (model.var_[1], model.scale_[1]) == (0.0, 1.0)
    assert (model.transform(np.delete(X, 8, axis=0))[:, 1] == 0).all()


def test_float_sums_would_leave_a_variance_behind() -> None:
    """What exact sums are for: subtracting in floats gives a constant column a scale, which then explodes."""
    column = np.full(300, 0.1)
    column[8] = 8.1
    total, squares = column.sum() - 8.1, (column**2).sum() - 8.1**2
    assert squares / 299 - (total / 299) ** 2 != 0


def test_what_stays_has_mean_zero_and_deviation_one_under_an_offset_of_1e7() -> None:
    X = data()
    model = StandardScaler(salt=SALT).fit(X)
    model.forget(records=list(range(150)))
    scaled = model.transform(X[150:])
    assert np.abs(scaled.mean(axis=0)).max() < 1e-9
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-9)


def test_a_plan_says_that_learners_of_the_output_have_to_be_fitted_again() -> None:
    model = StandardScaler(salt=SALT).fit(data(), subjects=["a", "b", "c"] * 100)
    (note,) = model.plan(subjects=["a"]).notes
    assert "retrain" in note
    assert model.forget(subjects=["a"]).plan.notes == (note,)


def test_a_value_without_a_square_is_refused() -> None:
    with pytest.raises(InvalidData, match="Rescale"):
        StandardScaler(salt=SALT).fit([[1e200], [1.0]])


def test_a_deleted_value_is_nowhere(tmp_path: Path) -> None:
    X = data()
    model = StandardScaler(salt=SALT).fit(X)
    assert all(value.tobytes() in everything(model, tmp_path / "m") for value in X[11]), "the control"
    model.forget(records=[11])
    held = everything(model, tmp_path / "m")
    assert not any(value.tobytes() in held for value in X[11])


def test_the_value_of_the_one_record_that_set_a_constant_is_nowhere(tmp_path: Path) -> None:
    model = StandardScaler(salt=SALT).fit([[0.3], [np.pi]])
    assert np.float64(np.pi).tobytes() in everything(model, tmp_path / "m"), "the control"
    model.forget(records=[1])
    held = everything(model, tmp_path / "m")
    assert np.float64(np.pi).tobytes() not in held
    assert (model.mean_, model.scale_) == (0.3, 1.0)
