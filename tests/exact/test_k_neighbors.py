import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from expunge.core.errors import InvalidParameter
from expunge.exact import KNeighbors

SALT = b"salt"


def data(n: int = 300) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5))
    return X, rng.integers(3, size=n), rng.normal(size=(80, 5))


def everything(model: KNeighbors, folder: Path) -> bytes:
    model.save(folder)
    return pickle.dumps(model) + b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_classification_agrees_with_scikit_learn_on_the_records_that_stay(weights: Any) -> None:
    X, y, Q = data()
    model = KNeighbors(n_neighbors=7, weights=weights, salt=SALT).fit(X, y)
    model.forget(records=list(range(0, 300, 3)))
    stay = np.arange(300) % 3 != 0
    reference = KNeighborsClassifier(7, weights=weights, algorithm="brute").fit(X[stay], y[stay])
    np.testing.assert_allclose(model.predict_proba(Q), reference.predict_proba(Q), rtol=1e-6)
    assert (model.predict(Q) == reference.predict(Q)).all()
    assert model.score(Q, reference.predict(Q)) == 1.0


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_regression_agrees_with_scikit_learn_on_the_records_that_stay(weights: Any) -> None:
    X, _, Q = data()
    y = X[:, 0] - X[:, 1]
    model = KNeighbors(task="regression", weights=weights, salt=SALT).fit(X, y)
    model.forget(records=list(range(100)))
    reference = KNeighborsRegressor(weights=weights).fit(X[100:], y[100:])
    np.testing.assert_allclose(model.predict(Q), reference.predict(Q), rtol=1e-6)
    assert not hasattr(model, "predict_proba")


def test_a_deleted_record_is_nobodys_neighbour() -> None:
    X, y, _ = data()
    y[:] = 0
    y[17] = 2
    model = KNeighbors(n_neighbors=1, salt=SALT).fit(X, y)
    assert model.predict(X[17:18]) == [2], "the control"
    model.forget(records=[17])
    assert model.predict(X[17:18]) == [0]
    assert model.classes_.tolist() == [0]


def test_the_place_where_a_record_was_is_no_neighbour_either() -> None:
    """A row that is overwritten with zeros must not be found by a query at zero."""
    X = np.full((4, 2), 100.0) + np.arange(4)[:, np.newaxis]
    model = KNeighbors(n_neighbors=1, task="regression", salt=SALT).fit(X, [1.0, 2.0, 3.0, 4.0])
    model.forget(records=[0])
    assert model.predict([[0.0, 0.0]]) == [2.0]


def test_of_equally_near_records_the_first_counts_before_and_after_deletions() -> None:
    X = np.array([[1.0], [-1.0], [1.0], [-1.0], [1.0]])
    model = KNeighbors(n_neighbors=1, task="regression", salt=SALT).fit(X, np.arange(5.0))
    for gone, nearest in [(None, 0), (0, 1), (1, 2), (2, 3), (3, 4)]:
        if gone is not None:
            model.forget(records=[gone])
        assert model.predict([[0.0]]) == [nearest]


def test_predictions_after_deletions_have_the_bits_of_a_fit_without() -> None:
    X, y, Q = data()
    X, Q = np.round(X), np.round(Q)  # ties everywhere
    model = KNeighbors(weights="distance", salt=SALT).fit(X, y)
    model.forget(records=list(range(0, 300, 7)))
    stay = np.arange(300) % 7 != 0
    fresh = KNeighbors(weights="distance", salt=SALT).fit(X[stay], y[stay])
    assert model.predict_proba(Q).tobytes() == fresh.predict_proba(Q).tobytes()


def test_with_fewer_records_than_neighbours_all_of_them_vote() -> None:
    model = KNeighbors(n_neighbors=5, task="regression", salt=SALT).fit(np.arange(6.0).reshape(6, 1), np.arange(6.0))
    model.forget(records=[0, 1, 2, 3])
    assert model.predict([[0.0]]) == [4.5]


@pytest.mark.parametrize("settings", [{"n_neighbors": 0}, {"task": "ranking"}, {"weights": "votes"}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    X, y, _ = data()
    with pytest.raises(InvalidParameter):
        KNeighbors(**settings).fit(X, y)


def test_a_deleted_value_is_nowhere(tmp_path: Path) -> None:
    X, y, Q = data()
    model = KNeighbors(salt=SALT).fit(X, y)
    model.predict(Q)
    assert all(value.tobytes() in everything(model, tmp_path / "m") for value in X[11]), "the control"
    model.forget(records=[11])
    model.predict(Q)
    held = everything(model, tmp_path / "m")
    assert not any(value.tobytes() in held for value in X[11])


def test_a_query_beyond_all_distances_still_gets_shares() -> None:
    X, y = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
    model = KNeighbors(n_neighbors=4, weights="distance", salt=b"s").fit(X, y)
    assert model.predict_proba([[1e200, 0.0]]).tolist() == [[0.5, 0.5]]


def test_half_a_neighbor_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="whole number"):
        KNeighbors(n_neighbors=2.5).fit([[0.0], [1.0]], [0, 1])  # type: ignore[arg-type]
