"""Kinds of estimators in units, one after another: forgetting equals a fit without, or is refused in a sentence."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier

from expunge.core.errors import InvalidData
from expunge.exact import Sisa

SALT = b"a salt for tests"
DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(150, 4))
Y = (X[:, 0] + 0.5 * DRAWS.normal(size=150) > 0).astype(int)
SUBJECTS = [f"u{i % 50}" for i in range(150)]
GAPS = np.where(DRAWS.random((150, 4)) < 0.2, np.nan, X)
TWICE = X.copy()
TWICE[75:] = X[:75]

REPEATS: dict[str, tuple[Callable[[], Any], Any]] = {
    "logistic regression": (lambda: LogisticRegression(), X),
    "sparse rows": (lambda: LogisticRegression(), sparse.csr_array(np.round(X))),
    "weights of classes": (lambda: LogisticRegression(class_weight="balanced"), X),
    "a warm start": (lambda: LogisticRegression(warm_start=True), X),
    "a warm start of a forest": (lambda: RandomForestClassifier(3, warm_start=True), X),
    "stopped early": (lambda: SGDClassifier(early_stopping=True, n_iter_no_change=2), X),
    "a network stopped early": (lambda: MLPClassifier((4,), early_stopping=True, max_iter=5), X),
    "a network": (lambda: MLPClassifier((4,), max_iter=5), X),
    "boosting": (lambda: HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3), X),
    "boosting with gaps": (lambda: HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3), GAPS),
    "calibrated": (lambda: CalibratedClassifierCV(LogisticRegression(), cv=2), X),
    "a forest of two threads": (lambda: RandomForestClassifier(4, n_jobs=2), X),
    "trees of two threads": (lambda: ExtraTreesClassifier(4, n_jobs=2), X),
    "records that are there twice": (lambda: LogisticRegression(), TWICE),
}


def _fit(estimator: Any, X: Any, keep: Any = slice(None), **settings: Any) -> Any:
    subjects = [SUBJECTS[i] for i in np.arange(150)[keep]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few passes have not converged
        model = Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})
        return model.fit(X[keep], Y[keep], subjects=subjects)


@pytest.mark.parametrize("kind", REPEATS)
def test_forgetting_equals_a_fit_without(kind: str) -> None:
    make, given = REPEATS[kind]
    model = _fit(make(), given)
    with_all = model.digest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.forget(subjects=["u5"])
        model.forget(subjects=["u11"])
    keep = np.array([s not in {"u5", "u11"} for s in SUBJECTS])
    assert model.digest() == _fit(make(), given, np.flatnonzero(keep)).digest() != with_all


def test_a_frame_of_polars_as_an_array_is_that_array() -> None:
    polars = pytest.importorskip("polars")
    rows = polars.DataFrame({f"c{i}": X[:, i] for i in range(4)}).to_numpy()
    assert _fit(LogisticRegression(), rows).digest() == _fit(LogisticRegression(), X).digest()


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (SGDClassifier(class_weight="balanced"), "class_weight 'balanced' is not supported for partial_fit"),
        (SGDClassifier(early_stopping=True), "early_stopping should be False with partial_fit"),
    ],
    ids=["weights of classes", "stopped early"],
)
def test_what_does_not_learn_by_passes_is_refused_with_slices(estimator: Any, sentence: str) -> None:
    with pytest.raises(InvalidData, match=f"the estimator refuses the records of a unit: .*{sentence}"):
        _fit(estimator, X, slices=2, epochs=2)
