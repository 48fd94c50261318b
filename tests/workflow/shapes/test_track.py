"""What `Track` writes names the trained state: other data, another digest; the same data, the same one."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from expunge.workflow.shapes.track import state_digest

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
ESTIMATORS: list[Any] = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    HistGradientBoostingClassifier(random_state=0, max_iter=5),
    KNeighborsClassifier(),
    RandomForestClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    DecisionTreeClassifier(random_state=0),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_an_estimator_is_named_by_all_that_it_learned(estimator: Any) -> None:
    from sklearn.base import clone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [clone(estimator).fit(X, Y), clone(estimator).fit(X, Y), clone(estimator).fit(-2 * X + 1, Y)]
    one, again, other = map(state_digest, fits)
    assert one == again != other
