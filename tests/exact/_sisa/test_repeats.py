"""Estimators that do not repeat are refused by name, and those that can be made to repeat are."""

import os
import random
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tests.processes import printed_twice

from expunge.core.errors import InvalidParameter
from expunge.exact import Sisa
from expunge.exact._sisa.fixed import FixedUnit

SALT = b"a salt for tests"


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})


def table(n: int = 150) -> tuple[Any, Any, list[str]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    return X, (X[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int), [f"u{i % 50}" for i in range(n)]


class Own(ClassifierMixin, BaseEstimator):
    """One number of its own, drawn when it is fitted."""

    def __init__(self, where: str = "numpy") -> None:
        self.where = where

    def fit(self, X: Any, y: Any) -> "Own":
        draws = {"numpy": np.random.random, "python": random.random, "clock": time.perf_counter, "system": _system}
        self.drawn_, self.classes_ = float(draws[self.where]()), np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[0])


def _system() -> float:
    return float(int.from_bytes(os.urandom(6), "big"))


GRID = {"C": [0.01, 1.0]}
MENDED = {
    "a search, whose times differ": GridSearchCV(LogisticRegression(), GRID, cv=3),
    "a search with a score by name": GridSearchCV(LogisticRegression(), GRID, cv=3, scoring="roc_auc"),
    "a search in a pipeline": make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), GRID, cv=3)),
    "a random search": RandomizedSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0]}, n_iter=2, cv=3),
    "a search over shuffled folds": GridSearchCV(LogisticRegression(), GRID, cv=StratifiedKFold(3, shuffle=True)),
    "calibration over shuffled folds": CalibratedClassifierCV(LogisticRegression(), cv=KFold(3, shuffle=True)),
    "a path over random splits": LogisticRegressionCV(
        Cs=3, cv=ShuffleSplit(3), use_legacy_attributes=False, l1_ratios=(0,)
    ),
    "draws of numpy.random": Own("numpy"),
    "draws of random": Own("python"),
}


@pytest.mark.parametrize("what", MENDED)
def test_what_can_be_made_to_repeat_equals_a_fit_without(what: str, tmp_path: Path) -> None:
    X, y, subjects = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        random.seed(1)
        np.random.seed(1)
        before = np.random.get_state()[1].copy()
        model = sisa(MENDED[what]).fit(X, y, subjects=subjects)
        assert (np.random.get_state()[1] == before).all(), "the shared generator is where it was"
        model.save(tmp_path)
        loaded = Sisa.load(tmp_path, salt=SALT, estimator=MENDED[what])
        random.seed(2)  # as in another process
        np.random.seed(2)
        keep = [i for i, s in enumerate(subjects) if s != "u5"]
        fresh = sisa(MENDED[what]).fit(X[keep], y[keep], subjects=[subjects[i] for i in keep])
        for learner in (model, loaded):
            learner.forget(subjects=["u5"])
            assert learner.digest() == fresh.digest()
        assert fresh.digest() != sisa(MENDED[what]).fit(X, y, subjects=subjects).digest(), "the control"
        assert (loaded.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("where", ["clock", "system"])
def test_what_cannot_is_refused_by_name_and_attribute_and_nothing_is_fitted(where: str) -> None:
    X, y, subjects = table()
    model = sisa(make_pipeline(StandardScaler(), Own(where)))
    with pytest.raises(InvalidParameter, match=r"Pipeline does not repeat.*own\.drawn_"):
        model.fit(X, y, subjects=subjects)
    assert not hasattr(model, "classes_")


def test_the_trial_is_of_the_smallest_unit_and_its_first_stage_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, subjects = table()
    fitted: list[int] = []
    original = LogisticRegression.fit

    def counting(self: Any, X: Any, y: Any, **more: Any) -> Any:
        fitted.append(len(y))
        return original(self, X, y, **more)

    monkeypatch.setattr(LogisticRegression, "fit", counting)
    monkeypatch.setattr(FixedUnit, "learned", lambda _: "sha256:none")  # a canary is fitted, too
    sisa(LogisticRegression()).fit(X, y, subjects=subjects)
    assert fitted[3:] == [min(fitted[:3])]


def test_one_unit_predicts_as_its_estimator_does_even_where_that_is_not_by_probability() -> None:
    X, y, subjects = table()
    estimator = CalibratedClassifierCV(SVC(), cv=3)
    one = sisa(estimator, shards=1).fit(X, y, subjects=subjects)
    order = one._fitted().learned.shards[0].positions
    assert (one.predict(X) == estimator.fit(X[order], y[order]).predict(X)).all()


IN_A_NEW_PROCESS = """
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from expunge.exact import Sisa
texts = ["red apple", "blue sky", "red wine", "blue sea"] * 10
model = Sisa(make_pipeline(CountVectorizer(), LogisticRegression()), shards=2, workers=1, salt=b"salt")
print(model.fit(texts, [1, 0] * 20, records=range(40)).digest())
"""


def test_a_vocabulary_has_the_same_digest_in_another_process_where_its_addresses_are_others() -> None:
    assert len(set(printed_twice(IN_A_NEW_PROCESS))) == 1
