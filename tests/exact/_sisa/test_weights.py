"""Weights stay with their records and leave with them; one unit learns what the estimator alone learns from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact import Forest, GaussianNB, Ridge, Sisa, TorchTraining

SALT = b"a salt for tests"


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})


def table(n: int = 120) -> tuple[Any, Any, Any, list[str]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    X[7] = X[11]  # the same record twice, but for its weight
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
    y[7] = y[11]
    return X, y, rng.integers(0, 4, n) / 2 + 0.1, [f"u{i % 40}" for i in range(n)]


KINDS: dict[str, Callable[[], Any]] = {
    "by one fit": lambda: sisa(LogisticRegression()),
    "by passes": lambda: sisa(SGDClassifier(), slices=2, epochs=3),
    "a pipeline": lambda: sisa(make_pipeline(StandardScaler(), LogisticRegression())),
    "a pipeline by passes": lambda: sisa(make_pipeline(StandardScaler(), SGDClassifier()), slices=2, epochs=3),
    "regression": lambda: sisa(DecisionTreeRegressor(max_depth=3)),
    "a search": lambda: sisa(GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_forgetting_equals_a_fit_without_records_and_their_weights(kind: str, tmp_path: Path) -> None:
    X, y, weights, subjects = table()
    model = KINDS[kind]().fit(X, y, subjects=subjects, sample_weight=weights)
    assert model.digest() != KINDS[kind]().fit(X, y, subjects=subjects).digest(), "the control: weights count"
    model.save(tmp_path)
    loaded = Sisa.load(tmp_path, salt=SALT)
    keep = [i for i, s in enumerate(subjects) if s not in {"u5", "u11"}]
    fresh = KINDS[kind]().fit(X[keep], y[keep], subjects=[subjects[i] for i in keep], sample_weight=weights[keep])
    for learner in (model, loaded):
        learner.forget(subjects=["u5"])
        learner.forget(subjects=["u11"])
        assert learner.digest() == fresh.digest()


@pytest.mark.parametrize("kind", ["by one fit", "by passes", "a search"])
def test_a_finished_stage_of_other_weights_is_not_gone_on_from(kind: str, tmp_path: Path) -> None:
    X, y, weights, subjects = table()
    KINDS[kind]().fit(X, y, subjects=subjects, sample_weight=weights, work=tmp_path)
    other = KINDS[kind]().fit(X, y, subjects=subjects, sample_weight=2 * weights, work=tmp_path)
    assert other.digest() == KINDS[kind]().fit(X, y, subjects=subjects, sample_weight=2 * weights).digest()


@pytest.mark.parametrize("kind", ["by one fit", "by passes", "regression"])
def test_records_of_no_weight_are_added_as_a_fit_of_all_takes_them(kind: str) -> None:
    X, y, weights, subjects = table()
    weights[90:] = 0.0
    fit = lambda rows: KINDS[kind]().fit(
        X[rows], y[rows], subjects=[subjects[i] for i in rows], sample_weight=weights[rows]
    )
    model = fit(range(90))
    model.add(X[90:], y[90:], subjects=subjects[90:], sample_weight=weights[90:])
    assert model.digest() == fit(range(120)).digest()
    before = fit(range(90)).digest()
    assert model.digest() != before, "the control: they are held"
    with pytest.raises(InvalidData, match="zero for every record"):
        fit(range(90, 120))


def test_one_unit_learns_what_the_estimator_learns() -> None:
    X, y, weights, subjects = table()
    one = sisa(LogisticRegression(), shards=1).fit(X, y, subjects=subjects, sample_weight=weights)
    alone = LogisticRegression().fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(next(m for _, m in one._serving()).coef_, alone.coef_, rtol=1e-3)
    assert not np.allclose(alone.coef_, LogisticRegression().fit(X, y).coef_, rtol=1e-2), "the control"


def test_the_same_record_under_two_weights_lies_where_its_weight_puts_it() -> None:
    X, y, weights, _ = table()
    weights[7], weights[11] = 1.0, 5.0
    order = np.arange(120)
    order[[7, 11]] = 11, 7
    fit = lambda rows: sisa(LogisticRegression()).fit(X[rows], y[rows], sample_weight=weights[rows]).units()
    assert fit(np.arange(120)) == fit(order)


def test_metadata_routing_finds_its_way_and_is_part_of_the_recipe() -> None:
    X, y, weights, subjects = table()
    with sklearn.config_context(enable_metadata_routing=True):
        steps = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            LogisticRegression().set_fit_request(sample_weight=True),
        )
        model = sisa(steps, shards=1).fit(X, y, subjects=subjects, sample_weight=weights)
        (_, trained), *_ = model._serving()
        order = model._fitted().learned.shards[0].positions
        np.testing.assert_allclose(trained[0].mean_, np.average(X[order], axis=0, weights=weights[order]))
        unsaid = make_pipeline(StandardScaler(), LogisticRegression())
        with pytest.raises(InvalidData, match="sample_weight"):
            sisa(unsaid).fit(X, y, subjects=subjects, sample_weight=weights)
        learner = sisa(LogisticRegression()).set_fit_request(sample_weight=True, subjects=True)
        learner.set_score_request(sample_weight=True)
        search = GridSearchCV(learner, {"estimator__C": [0.1, 1.0]}, cv=2)
        best = search.fit(X, y, sample_weight=weights, subjects=np.array(subjects)).best_estimator_
        assert best._fitted().learned.weights is not None
        best.plan(subjects=["u5"])
        keep = [i for i, s in enumerate(subjects) if s != "u5"]
        fresh = sisa(steps, shards=1)
        fresh.fit(X[keep], y[keep], subjects=[subjects[i] for i in keep], sample_weight=weights[keep])
    model.forget(subjects=["u5"])  # with routing off again: it is done as the fit was
    assert model.digest() == fresh.digest()


def test_weights_that_nothing_would_use_or_that_are_no_weights_are_refused() -> None:
    X, y, weights, _subjects = table()
    with pytest.raises(InvalidParameter, match="KNeighborsClassifier takes none"):
        sisa(KNeighborsClassifier()).fit(X, y, sample_weight=weights)
    with pytest.raises(InvalidParameter, match="TorchTraining"):
        sisa(TorchTraining(lambda: None, lambda *_: None)).fit(X, y, sample_weight=weights)  # type: ignore[arg-type,return-value]
    for wrong in (weights[:-1], weights[:, None], np.where(weights > 1, np.nan, 1), ["a"] * 120):
        with pytest.raises(InvalidData, match="sample_weight"):
            sisa(LogisticRegression()).fit(X, y, sample_weight=wrong)


@pytest.mark.parametrize("learner", [Ridge, GaussianNB, Forest])
def test_other_learners_refuse_what_they_do_not_take_in_a_sentence(learner: Any) -> None:
    X, y, weights, _ = table()
    with pytest.raises(InvalidData, match=r"got sample_weight as well; Sisa takes weights"):
        learner(salt=SALT).fit(X, y, sample_weight=weights)
    with pytest.raises(TypeError, match="takes X, y, subjects and records, got groups"):
        learner(salt=SALT).fit(X, y, groups=pd.Series(y))
