"""Data frames keep names, types and declared categories through `Sisa`; one unit answers as the estimator by itself."""

import datetime as dt
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from expunge.core.errors import InvalidData
from expunge.exact import Sisa
from expunge.exact._sisa.frames import described, framed, held

SALT = b"a salt for tests"
N = 240


def table(n: int = N) -> tuple[Any, Any, list[str]]:
    """A frame of every type, whose categories and dates say more of y than its numbers do."""
    rng = np.random.default_rng(0)
    color = rng.choice(["red", "green", "blue"], n)
    grade = rng.integers(1, 4, n)
    joined = rng.integers(0, 1000, n)
    number = rng.normal(size=n)
    y = ((color == "red") ^ (grade > 2) ^ (number > 1)).astype(int)
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(joined, unit="D")
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(n) < 0.1, np.nan, number),
            "small": number.astype(np.float32),
            "whole": rng.integers(0, 9, n),
            "color": pd.Categorical(color, categories=["blue", "green", "red", "never"]),
            "grade": pd.Categorical(grade, categories=[1, 2, 3, 4], ordered=True),
            "yes": rng.random(n) > 0.5,
            "maybe": pd.array(np.where(rng.random(n) < 0.1, None, rng.random(n) > 0.5), dtype="boolean"),
            "count": pd.array([None if v < 0.1 else int(10 * v) for v in rng.random(n)], dtype="Int64"),
            "share": pd.array([None if v < 0.1 else v for v in rng.random(n)], dtype="Float64"),
            "joined": days,
            "seen": days.tz_localize("Europe/Berlin"),
            "spent": pd.to_timedelta(joined, unit="h"),
            "word": pd.Series(rng.choice(["a", "bb", "ccc"], n), dtype=object),
            "text": pd.array(rng.choice(["x", "yy"], n), dtype="string"),
            "name": pd.array(np.where(rng.random(n) < 0.1, None, rng.choice(["k", "ll"], n)), dtype="str"),
        }
    )  # fmt: skip
    return frame, y, [f"u{i % 60}" for i in range(n)]


def sisa(estimator: Any, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 1, "workers": 1, "salt": SALT, **settings})


def selected(kind: Any) -> Any:
    return make_column_selector(dtype_include=kind)


def epoch_days(frame: Any) -> Any:
    return frame.apply(lambda column: column.astype("int64")).to_numpy()


def hot() -> Any:
    return OneHotEncoder(handle_unknown="ignore")


def whole_numbers_missing() -> Any:
    return FunctionTransformer(np.nan_to_num)


BY_TYPE = {
    "boosting, categories from the type": (
        HistGradientBoostingClassifier(max_iter=8, random_state=0),
        ["number", "small", "whole", "color", "grade", "yes"],
    ),
    "selector of categories": (
        make_pipeline(make_column_transformer((hot(), selected("category"))), LogisticRegression()),
        ["number", "color", "grade"],
    ),
    "selector of numbers, nullable ones too": (
        make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(), StandardScaler()), selected("number")), (hot(), selected("category"))
            ),
            DecisionTreeClassifier(random_state=0),
        ),
        ["number", "whole", "count", "share", "color"],
    ),
    "selector of booleans": (
        make_pipeline(make_column_transformer((hot(), selected(["bool", "boolean"]))), LogisticRegression()),
        ["yes", "maybe", "number"],
    ),
    "dates and durations": (
        make_pipeline(
            make_column_transformer(
                (make_pipeline(FunctionTransformer(epoch_days), StandardScaler()), ["joined", "seen", "spent"]),
                (hot(), ["color"]),
            ),
            LogisticRegression(),
        ),
        ["joined", "seen", "spent", "color"],
    ),
    "text and objects": (
        make_pipeline(
            make_column_transformer(
                (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), selected(object)),
                (hot(), selected(["string", "str"])),
            ),
            RandomForestClassifier(5, random_state=0),
        ),
        ["word", "text", "name", "number"],
    ),
    "names without a pipeline": (LogisticRegression(), ["whole", "small"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_TYPE)
def test_one_unit_predicts_as_the_estimator_alone_to_the_last_row(name: str) -> None:
    estimator, columns = BY_TYPE[name]
    frame, y, subjects = table()
    X = frame[columns]
    one = sisa(estimator).fit(X, y, subjects=subjects)
    (_, model), *_ = one._serving()
    # Records of a unit are in an order of their own, and the seed is the unit's: the same estimator on the same terms.
    order = one._fitted().learned.shards[0].positions
    alone = clone(estimator).set_params(**{k: v for k, v in model.get_params().items() if k.endswith("random_state")})
    alone.fit(X.iloc[order], y[order])
    assert (one.predict(X) == alone.predict(X)).all()
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))
    assert list(one.feature_names_in_) == columns
    assert one.score(X, y) > 0.55


@pytest.mark.parametrize("name", BY_TYPE)
def test_forgetting_equals_a_fit_without_and_so_does_a_loaded_learner(name: str, tmp_path: Path) -> None:
    estimator, columns = BY_TYPE[name]
    frame, y, subjects = table()
    X = frame[columns]
    model = sisa(estimator, shards=3).fit(X, y, subjects=subjects)
    model.save(tmp_path)
    given = {} if b"template" in (tmp_path / "expunge.json").read_bytes() else {"estimator": estimator}
    loaded = Sisa.load(tmp_path, salt=SALT, **given)
    assert loaded.digest() == model.digest()
    for learner in (model, loaded):
        learner.forget(subjects=["u5", "u7"])
    keep = [i for i, s in enumerate(subjects) if s not in {"u5", "u7"}]
    fresh = sisa(estimator, shards=3).fit(X.iloc[keep], y[keep], subjects=[subjects[i] for i in keep])
    assert model.digest() == loaded.digest() == fresh.digest()
    assert fresh.digest() != sisa(estimator, shards=3).fit(X, y, subjects=subjects).digest(), "the control"
    assert (loaded.predict(X) == fresh.predict(X)).all()


def test_a_frame_comes_back_from_its_description_as_it_was() -> None:
    frame, _, _ = table()
    description = described(frame)
    assert description is not None
    pd.testing.assert_frame_equal(framed(held(frame, description), description), frame)
    some = np.array([5, 3])
    pd.testing.assert_frame_equal(
        framed(held(frame, description)[some], description), frame.iloc[some].reset_index(drop=True)
    )


def polars_table() -> Any:
    frame, _, _ = table()
    plain = pl.from_pandas(frame[["number", "small", "whole", "yes", "count", "joined", "word"]])
    return plain.with_columns(
        pl.Series("color", frame["color"].astype(object).tolist(), dtype=pl.Enum(["blue", "green", "red", "never"])),
        pl.col("joined").dt.date().alias("day"),
        pl.col("joined").dt.replace_time_zone("Europe/Berlin").alias("seen"),
        pl.Series("spent", [dt.timedelta(hours=i) for i in range(N)]),
        pl.Series("at", [dt.time(i % 24) for i in range(N)]),
    )


def test_a_frame_of_polars_comes_back_too() -> None:
    frame = polars_table()
    description = described(frame)
    assert description is not None
    assert framed(held(frame, description), description).equals(frame)
    assert framed(held(frame, description), description).schema == frame.schema


def test_polars_predicts_and_forgets_like_pandas_does() -> None:
    frame, y, subjects = table()
    frame = polars_table()
    by_name = make_column_transformer((hot(), ["color", "word"]), (SimpleImputer(), ["number", "small"]))
    estimator = make_pipeline(by_name, LogisticRegression())
    one = sisa(estimator).fit(frame, y, subjects=subjects)
    order = one._fitted().learned.shards[0].positions
    assert (one.predict(frame) == clone(estimator).fit(frame[order], y[order]).predict(frame)).all()
    model = sisa(estimator, shards=3).fit(frame, y, subjects=subjects)
    model.forget(records=[3, 4])
    keep = [i for i in range(N) if i not in (3, 4)]
    fresh = sisa(estimator, shards=3).fit(frame[keep], y[keep], subjects=[subjects[i] for i in keep])
    assert model.digest() == fresh.digest()


def test_a_declared_category_stays_in_the_list_and_the_plan_says_so() -> None:
    frame, y, subjects = table()
    X = frame[["color", "number"]].copy()
    X["color"] = X["color"].cat.add_categories("odd")
    X.loc[5, "color"] = "odd"
    estimator = HistGradientBoostingClassifier(max_iter=5)
    model = sisa(estimator, shards=4).fit(X, y, subjects=subjects)
    before = {u.id: u.digest for u in model.units()}
    assert any("color" in a and "declared" in a for a in model.promise().assumptions)
    assert not any("last record" in note for note in model.plan(records=[6]).notes)
    deletion = model.forget(records=[5])
    assert any("color" in note and "last record" in note for note in deletion.plan.notes)
    changed = {u.id for u in model.units() if before[u.id] != u.digest}
    assert changed == {u.id for u in deletion.plan.units}, "no other unit was touched"
    keep = np.arange(N) != 5
    fresh = sisa(estimator, shards=4).fit(
        X[keep], y[keep], subjects=[s for s, k in zip(subjects, keep, strict=True) if k]
    )
    assert fresh.digest() == model.digest()
    narrow = X[keep].assign(color=X[keep]["color"].cat.remove_unused_categories())
    other = sisa(estimator, shards=4).fit(
        narrow, y[keep], subjects=[s for s, k in zip(subjects, keep, strict=True) if k]
    )
    assert other.digest() != model.digest(), "another declaration is another recipe"


def test_a_value_that_is_not_declared_is_in_its_own_unit_alone() -> None:
    frame, y, subjects = table()
    X = frame[["word", "text", "number"]].copy()
    X.loc[5, "word"] = "a-word-of-one-person"
    X.loc[5, "text"] = "a-text-of-one-person"
    estimator = make_pipeline(
        make_column_transformer((hot(), ["word", "text"]), (SimpleImputer(), ["number"])), LogisticRegression()
    )
    model = sisa(estimator, shards=4).fit(X, y, subjects=subjects)
    (unit, _) = model.members([5])[0]
    for i, trained in model._serving():
        assert (b"of-one-person" in pickle.dumps(trained)) == (unit == f"shard-{i:03d}")
    model.forget(records=[5])
    assert b"of-one-person" not in pickle.dumps(model)


UNKNOWN: dict[str, Callable[[], Any]] = {
    "intervals": lambda: pd.DataFrame({"a": pd.cut(np.arange(9.0), 3)}),
    "periods": lambda: pd.DataFrame({"a": pd.period_range("2020", periods=9, freq="D")}),
    "complex numbers": lambda: pd.DataFrame({"a": np.arange(9) * 1j}),
    "sparse": lambda: pd.DataFrame({"a": pd.arrays.SparseArray(np.arange(9))}),
    "objects": lambda: pd.DataFrame({"a": pd.Series([dt.date(2020, 1, i + 1) for i in range(9)], dtype=object)}),
    "a missing value among objects": lambda: pd.DataFrame({"a": pd.Series([pd.NA] + ["x"] * 8, dtype=object)}),
    "categories by rows": lambda: pl.DataFrame({"a": pl.Series(list("abcabcabc"), dtype=pl.Categorical)}),
    "lists": lambda: pl.DataFrame({"a": [[1]] * 9}),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_a_type_that_could_not_be_made_again_is_refused_by_the_column_s_name(what: str) -> None:
    with pytest.raises(InvalidData, match="column 'a'"):
        sisa(LogisticRegression()).fit(UNKNOWN[what](), np.arange(9) % 2)


def test_names_that_are_no_text_or_numbers_are_refused() -> None:
    with pytest.raises(InvalidData, match="names"):
        sisa(LogisticRegression()).fit(pd.DataFrame({("a", "b"): np.arange(9.0)}), np.arange(9) % 2)


def test_columns_of_another_name_are_refused_when_asked() -> None:
    frame, y, subjects = table()
    model = sisa(LogisticRegression()).fit(frame[["whole", "small"]], y, subjects=subjects)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["small", "whole"]])
