"""Several targets a record, in classification and regression, with classes and abstention of each their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from expunge.core.errors import InvalidParameter
from expunge.exact import Sisa

SALT = b"a salt for tests"


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})


def table(n: int = 150) -> tuple[Any, Any, Any, Any, list[str]]:
    """Features, two labels of yes and no, two of several classes each, two numbers, people."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    labels = (X[:, :2] > 0).astype(int)
    classes = np.column_stack([labels[:, 0] + (X[:, 2] > 1), labels[:, 1] * 5])
    return X, labels, classes, X[:, :2] * 3, [f"u{i % 50}" for i in range(n)]


CLASSIFIERS = {
    "forest": RandomForestClassifier(5, random_state=0),
    "neighbours": KNeighborsClassifier(3),
    "a tree": DecisionTreeClassifier(),
    "one classifier a target": MultiOutputClassifier(LogisticRegression()),
    "without probabilities": MultiOutputClassifier(Perceptron()),
}
LABELS = {
    **CLASSIFIERS,
    "perceptron of labels": MLPClassifier((8,), max_iter=200, learning_rate_init=0.02),
    "chain": ClassifierChain(LogisticRegression()),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "name"), [("labels", n) for n in LABELS] + [("classes", n) for n in CLASSIFIERS])
def test_classification_forgets_and_one_unit_answers_as_the_estimator(kind: str, name: str, tmp_path: Path) -> None:
    X, labels, classes, _, subjects = table()
    y, estimator = labels if kind == "labels" else classes, LABELS[name]
    model = sisa(estimator).fit(X, y, subjects=subjects)
    assert [c.tolist() for c in model.classes_] == [sorted(set(column)) for column in y.T.tolist()]
    assert (model.predict(X) == y).mean() > 0.7
    shares = model.predict_proba(X)
    assert [p.shape for p in shares] == [(150, len(c)) for c in model.classes_]
    for share in shares:
        np.testing.assert_allclose(share.sum(axis=1), 1)
    model.save(tmp_path)
    loaded = Sisa.load(tmp_path, salt=SALT)
    keep = [i for i, s in enumerate(subjects) if s != "u5"]
    fresh = sisa(estimator).fit(X[keep], y[keep], subjects=[subjects[i] for i in keep])
    for learner in (model, loaded):
        learner.forget(subjects=["u5"])
        assert learner.digest() == fresh.digest()
        assert (learner.predict(X) == fresh.predict(X)).all()
    one = sisa(estimator, shards=1).fit(X, y, subjects=subjects)
    (_, alone), *_ = one._serving()
    assert (one.predict(X) == alone.predict(X)).all()


def test_regression_of_several_targets_forgets() -> None:
    X, _, _, y, subjects = table()
    for estimator in (LinearRegression(), RandomForestRegressor(3)):
        model = sisa(estimator).fit(X, y, subjects=subjects)
        model.forget(subjects=["u5"])
        keep = [i for i, s in enumerate(subjects) if s != "u5"]
        fresh = sisa(estimator).fit(X[keep], y[keep], subjects=[subjects[i] for i in keep])
        assert model.digest() == fresh.digest()
        assert model.score(X, y) > 0.7


def test_a_class_of_one_target_that_vanishes_and_one_that_is_declared() -> None:
    X, _, y, _, subjects = table()
    y[5, 1] = 9
    for declared, left in ((None, [0, 5]), ([[0, 1, 2], [0, 5, 9]], [0, 5, 9])):
        model = sisa(DecisionTreeClassifier(), classes=declared).fit(X, y, subjects=subjects)
        model.forget(records=[5])
        keep = [i for i in range(150) if i != 5]
        fresh = sisa(DecisionTreeClassifier(), classes=declared)
        fresh.fit(X[keep], y[keep], subjects=[subjects[i] for i in keep])
        assert model.digest() == fresh.digest()
        assert model.classes_[1].tolist() == left
    with pytest.raises(InvalidParameter, match="a list for each"):
        sisa(DecisionTreeClassifier(), classes=[[0, 1, 2]]).fit(X, y, subjects=subjects)


def test_a_unit_that_knows_one_class_of_a_target_abstains_on_it() -> None:
    X, labels, _, _, subjects = table()
    places = sisa(DecisionTreeClassifier()).fit(X, labels, subjects=subjects).members(list(range(150)))
    y = labels.copy()
    y[[i for i, (unit, _) in enumerate(places) if unit == "shard-000"], 1] = 0
    model = sisa(DecisionTreeClassifier(), vote="mean").fit(X, y, subjects=subjects)
    units = [m for _, m in model._serving()]
    assert [len(c) for c in units[0].classes_] == [2, 1]
    np.testing.assert_allclose(
        model.predict_proba(X)[1], np.mean([m.predict_proba(X)[1] for m in units[1:]], axis=0), err_msg="others answer"
    )
    np.testing.assert_allclose(model.predict_proba(X)[0], np.mean([m.predict_proba(X)[0] for m in units], axis=0))
    refusing = sisa(MultiOutputClassifier(LogisticRegression()))
    with pytest.warns(UserWarning, match="1 of 3 units"):
        refusing.fit(X, y, subjects=subjects)
    assert [i for i, _ in refusing._serving()] == [1, 2]


def test_several_targets_by_passes_are_refused() -> None:
    X, labels, _, _, subjects = table()
    with pytest.raises(InvalidParameter, match="several targets"):
        sisa(MLPClassifier(), slices=2).fit(X, labels, subjects=subjects)
