"""A unit that an estimator refuses for want of records abstains, and the plan says so beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline

from expunge.core.errors import InvalidData
from expunge.exact import Sisa

SALT = b"a salt for tests"


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})


def table(n: int = 90) -> tuple[Any, Any, list[str]]:
    """Two classes, of which one unit holds three records of the second."""
    rng = np.random.default_rng(0)
    X, subjects = rng.normal(size=(n, 3)), [f"u{i}" for i in range(n)]
    places = sisa(LogisticRegression()).fit(X, np.arange(n) % 2, subjects=subjects).members(list(range(n)))
    here = [i for i, (unit, _) in enumerate(places) if unit == "shard-001"]
    y = (X[:, 0] > 0).astype(int)
    y[here] = 0
    y[here[:3]] = 1
    X[here[:3], 0] += 3
    return X, y, subjects


def rare(y: Any, model: Any) -> list[int]:
    return [i for i in np.flatnonzero(y) if model.members([int(i)])[0][0] == "shard-001"]


def test_a_deletion_that_the_estimator_refuses_leaves_the_unit_silent_as_the_plan_said(tmp_path: Path) -> None:
    X, y, subjects = table()
    estimator = CalibratedClassifierCV(LogisticRegression(), cv=3)
    with pytest.raises(ValueError, match="less than"):  # the control: by itself it refuses two records of a class
        estimator.fit(X[:30], np.arange(30) < 2)
    model = sisa(estimator).fit(X, y, subjects=subjects)
    gone = f"u{rare(y, model)[0]}"
    other = next(f"u{i}" for i in range(90) if model.members([i])[0][0] == "shard-000")
    assert not any("abstains" in note for note in model.plan(subjects=[other]).notes)
    before = model.digest()
    plan = model.plan(subjects=[gone])
    assert model.digest() == before
    assert any("shard-001" in note and "abstains" in note for note in plan.notes)
    deletion = model.forget(subjects=[gone])
    assert deletion.plan.notes == plan.notes
    assert [i for i, _ in model._serving()] == [0, 2]
    keep = [i for i, s in enumerate(subjects) if s != gone]
    with pytest.warns(UserWarning, match="1 of 3 units"):
        fresh = sisa(estimator).fit(X[keep], y[keep], subjects=[subjects[i] for i in keep])
    assert fresh.digest() == model.digest()
    assert model.score(X, y) > 0.6
    model.save(tmp_path)
    assert Sisa.load(tmp_path, salt=SALT).digest() == model.digest()


def test_a_unit_that_loses_its_second_class_is_named_by_the_plan_too() -> None:
    X, y, subjects = table()
    model = sisa(LogisticRegression()).fit(X, y, subjects=subjects)
    gone = [f"u{i}" for i in rare(y, model)]
    plan = model.plan(subjects=gone)
    assert any("shard-001" in note and "abstains" in note for note in plan.notes)
    assert model.forget(subjects=gone).plan.notes == plan.notes


def test_a_stage_that_is_refused_starts_the_next_one_anew() -> None:
    X, y, subjects = table()
    estimator = make_pipeline(PCA(3), SGDClassifier())
    make = lambda: sisa(estimator, shards=8, slices=4, epochs=4)
    model = make().fit(X, y, subjects=subjects)
    stages = [stage for shard in model._fitted().learned.shards.values() for stage in shard.stages]
    assert any(not stage.data for stage in stages)
    model.forget(subjects=["u5"])
    keep = [i for i in range(90) if i != 5]
    assert make().fit(X[keep], y[keep], subjects=[subjects[i] for i in keep]).digest() == model.digest()


def test_values_that_an_estimator_refuses_are_no_want_of_records() -> None:
    X, y, subjects = table()
    frame = pd.DataFrame(X, columns=list("abc"))
    frame.loc[4, "b"] = np.nan
    with pytest.raises(InvalidData, match="NaN"):
        sisa(LogisticRegression()).fit(frame, y, subjects=subjects)
    with pytest.raises(InvalidData, match="C"):
        sisa(LogisticRegression(C=-1.0)).fit(X, y, subjects=subjects)


def test_a_regression_of_which_nothing_can_be_trained_is_refused() -> None:
    X, _, subjects = table(9)
    few = make_pipeline(PCA(3), LinearRegression())
    with pytest.raises(InvalidData, match="no unit could be trained"):
        sisa(few, shards=9).fit(X[:4], X[:4, 0], subjects=subjects[:4])
    model = sisa(few, shards=1).fit(X[:3], X[:3, 0], subjects=subjects[:3])
    before = model.digest()
    for verb in (model.plan, model.forget):
        with pytest.raises(InvalidData, match="no unit could be trained"):
            verb(subjects=["u0"])
    assert model.digest() == before
