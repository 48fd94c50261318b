"""XGBoost, LightGBM and CatBoost in `Sisa`: one unit is the library's own model, and forgetting is exact."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier

from expunge.core.errors import InvalidData, InvalidParameter, MissingExtra, UnsafeWeights
from expunge.engine import digest_value
from expunge.exact import Sisa
from expunge.exact._sisa import boosters

SALT = b"a salt for tests"


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 3, "workers": 1, "salt": SALT, **settings})


def table(n: int = 240) -> tuple[Any, Any, list[str]]:
    """A frame with missing numbers, and categories that say more than they."""
    rng = np.random.default_rng(0)
    color, number = rng.choice(["blue", "green", "red"], n), rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(n) < 0.1, np.nan, number),
            "whole": rng.integers(0, 9, n),
            "color": pd.Categorical(color, categories=["blue", "green", "red", "never"]),
        }
    )
    return frame, ((color == "red") ^ (number > 1)).astype(int), [f"u{i % 60}" for i in range(n)]


MODELS: dict[str, Callable[[], Any]] = {
    "xgboost": lambda: XGBClassifier(n_estimators=8, subsample=0.8, enable_categorical=True),
    "xgboost's forest": lambda: XGBRFClassifier(n_estimators=8, enable_categorical=True),
    "xgboost, regression": lambda: XGBRegressor(n_estimators=8, enable_categorical=True),
    "lightgbm": lambda: LGBMClassifier(n_estimators=8, subsample=0.8, subsample_freq=1, verbose=-1),
    "lightgbm, regression": lambda: LGBMRegressor(n_estimators=8, verbose=-1),
    "catboost": lambda: CatBoostClassifier(iterations=8, cat_features=("color",), verbose=0),
    "catboost, regression": lambda: CatBoostRegressor(iterations=8, cat_features=("color",), verbose=0),
}
ARRAYS: dict[str, Callable[[], Any]] = {
    "xgboost": lambda: XGBClassifier(n_estimators=5),
    "lightgbm": lambda: LGBMClassifier(n_estimators=5, verbose=-1, min_child_samples=5),
    "catboost": lambda: CatBoostClassifier(iterations=5, verbose=0),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_forgetting_on_a_frame_with_categories_equals_a_fit_without(name: str, tmp_path: Path) -> None:
    X, y, subjects = table()
    model = sisa(MODELS[name]()).fit(X, y, subjects=subjects)
    model.save(tmp_path / "model")
    loaded = Sisa.load(tmp_path / "model", salt=SALT)
    keep = [i for i, s in enumerate(subjects) if s not in {"u5", "u7"}]
    fresh = sisa(MODELS[name]()).fit(X.iloc[keep], y[keep], subjects=[subjects[i] for i in keep])
    for learner in (model, loaded):
        learner.forget(subjects=["u5", "u7"])
        assert learner.digest() == fresh.digest()
        assert (learner.predict(X) == fresh.predict(X)).all()
    assert fresh.digest() != sisa(MODELS[name]()).fit(X, y, subjects=subjects).digest(), "the control"
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any(data[:2] in (b"\x80\x04", b"\x80\x05") for data in files), "no pickle"
    assert not list(Path().glob("catboost_info")), "no logs of training"


@pytest.mark.parametrize("name", MODELS)
def test_one_unit_predicts_as_the_library_does_to_the_last_row(name: str) -> None:
    X, y, subjects = table()
    estimator = MODELS[name]()
    one = sisa(estimator, shards=1).fit(X, y, subjects=subjects)
    (_, model), *_ = one._serving()
    order = one._fitted().learned.shards[0].positions
    alone = MODELS[name]()
    if "catboost" not in name:
        alone.set_params(random_state=model.random_state)
    alone.fit(X.iloc[order], y[order])
    assert (one.predict(X) == alone.predict(X)).all()
    assert one.score(X, y) == alone.score(X, y) > 0.5


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_pipelines_searches_and_weights(name: str) -> None:
    X, y, subjects = table()
    rows = np.nan_to_num(X[["number", "whole"]].to_numpy(float))
    weights = np.where(np.arange(240) % 3, 1.0, 2.0)
    keep = [i for i, s in enumerate(subjects) if s != "u5"]
    for estimator in (
        ARRAYS[name](),
        make_pipeline(StandardScaler(), ARRAYS[name]()),
        GridSearchCV(ARRAYS[name](), {"learning_rate": [0.1, 0.5]}, cv=2),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = sisa(estimator).fit(rows, y, subjects=subjects, sample_weight=weights)
            model.forget(subjects=["u5"])
            fresh = sisa(estimator)
            fresh.fit(rows[keep], y[keep], subjects=[subjects[i] for i in keep], sample_weight=weights[keep])
        assert model.digest() == fresh.digest()
        assert not list(Path().glob("catboost_info"))


@pytest.mark.parametrize("name", ARRAYS)
def test_the_digest_is_of_values(name: str) -> None:
    X, y, _ = table()
    rows = np.nan_to_num(X[["number", "whole"]].to_numpy(float))
    fit = lambda rows, y: boosters.pinned(ARRAYS[name]()).fit(rows, y)
    assert digest_value(fit(rows, y)) == digest_value(fit(rows, y)) != digest_value(fit(rows[1:], y[1:]))


@pytest.mark.parametrize("name", ARRAYS)
def test_what_the_user_gave_is_as_it_was_frozen_parts_too(name: str) -> None:
    X, y, subjects = table()
    rows = np.nan_to_num(X[["number", "whole"]].to_numpy(float))
    frozen = ARRAYS[name]().set_params(**{"thread_count" if name == "catboost" else "n_jobs": 2}).fit(rows, y)
    calibrated = CalibratedClassifierCV(FrozenEstimator(frozen), cv=2)
    threads = lambda: frozen.get_params()["thread_count" if name == "catboost" else "n_jobs"]
    before, given = digest_value(frozen), digest_value(calibrated)
    model = sisa(calibrated, declared=["estimator"]).fit(rows, y, subjects=subjects)
    model.forget(subjects=["u5"])
    assert threads() == 2
    assert (digest_value(frozen), digest_value(calibrated)) == (before, given)
    plain = ARRAYS[name]()
    given = plain.get_params()
    sisa(plain).fit(rows, y, subjects=subjects)
    assert plain.get_params() == given


@pytest.mark.parametrize("name", ARRAYS)
def test_what_a_booster_refuses_is_one_of_our_errors(name: str) -> None:
    X, y, subjects = table()
    wrong = {"xgboost": {"learning_rate": "fast"}, "lightgbm": {"learning_rate": -1.0}, "catboost": {"depth": 99}}
    estimator = ARRAYS[name]().set_params(**wrong[name])
    with pytest.raises(InvalidData, match="refuses"):
        sisa(estimator).fit(np.nan_to_num(X[["number"]].to_numpy(float)), y, subjects=subjects)
    assert is_classifier(estimator)


def test_a_model_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, subjects = table()
    sisa(ARRAYS["lightgbm"]()).fit(X[["whole"]].to_numpy(float), y, subjects=subjects).save(tmp_path / "model")
    for module in [m for m in sys.modules if m.partition(".")[0] == "lightgbm"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"expunge\[boosters\]"):
        Sisa.load(tmp_path / "model", salt=SALT)


def test_a_list_that_keeps_catboost_from_being_cloned_is_refused_with_the_way_out() -> None:
    X, y, _ = table()
    with pytest.raises(InvalidParameter, match="give a tuple"):
        sisa(CatBoostClassifier(cat_features=["color"])).fit(X, y)


def test_a_class_that_is_not_named_is_not_let_in() -> None:
    from sklearn.linear_model import LogisticRegression
    from skops.io import dumps
    from tests.exact.test_sisa import renamed

    from expunge.exact._sisa.sklearn import loads

    with pytest.raises(UnsafeWeights, match=r"xgboost\.sklearn\.XGBRanker"):
        loads(renamed(dumps(LogisticRegression()), "xgboost.sklearn", "XGBRanker"))
