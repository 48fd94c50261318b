"""`Sisa` inside a search of scikit-learn: it is cloned, set, fitted and scored, and what was chosen is an influence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from expunge.exact import Sisa

SALT = b"a salt for tests"


def table(n: int = 150) -> tuple[Any, Any, list[str]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    return X, (X[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int), [f"u{i % 50}" for i in range(n)]


def searched(X: Any, y: Any, **fit: Any) -> Any:
    learner = Sisa(LogisticRegression(), shards=3, workers=1, salt=SALT)
    return GridSearchCV(learner, {"estimator__C": [1e-4, 1.0], "shards": [2, 3]}, cv=3).fit(X, y, **fit)


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_the_choice_is_an_influence_that_a_plan_names_and_a_folder_keeps(kind: str, tmp_path: Path) -> None:
    X, y, subjects = table()
    X = pd.DataFrame(X, columns=list("abcd")) if kind == "frame" else X
    best = searched(X, y, subjects=subjects).best_estimator_
    assert best.estimator.C == 1.0
    assert best.score(X, y) > 0.7
    best.save(tmp_path)
    for learner in (best, Sisa.load(tmp_path, salt=SALT)):
        assert any(
            "estimator__C, shards chosen by GridSearchCV" in note for note in learner.plan(subjects=["u5"]).notes
        )
        assert any("but for estimator__C, shards" in words for words in learner.promise().assumptions)
        deletion = learner.forget(subjects=["u5"])
        assert any("chosen by GridSearchCV" in note for note in deletion.plan.notes)
    keep = [i for i, s in enumerate(subjects) if s != "u5"]
    rows = X.iloc[keep] if kind == "frame" else X[keep]
    by_hand = Sisa(LogisticRegression(C=1.0), shards=best.shards, workers=1, salt=SALT)
    by_hand.fit(rows, y[keep], subjects=[subjects[i] for i in keep])
    assert by_hand.digest() == best.digest(), "the search is how it came about, and no part of the state"
    assert not by_hand.plan(subjects=["u6"]).notes, "the control: nobody chose"
    assert not any("chose:" in words or "but for" in words for words in by_hand.promise().assumptions)


def test_a_pipeline_inside_and_cross_validation_outside() -> None:
    X, y, _ = table()
    learner = Sisa(make_pipeline(StandardScaler(), LogisticRegression()), shards=2, workers=1, salt=SALT)
    search = GridSearchCV(learner, {"estimator__logisticregression__C": [1e-4, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"estimator__logisticregression__C": 1.0}
    assert cross_val_score(search.best_estimator_, X, y, cv=3).mean() > 0.7
