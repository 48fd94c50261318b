import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder as Reference

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.exact import OneHotEncoder

SALT = b"salt"


def words(n: int = 60) -> Any:
    rng = np.random.default_rng(0)
    rare = [f"only-{i}" if i % 10 == 0 else "usual" for i in range(n)]
    return np.array([rng.choice(["red", "green", "blue"], n).tolist(), rare], dtype=object).T


def numbers() -> Any:
    return np.round(np.random.default_rng(0).normal(size=(60, 3)) * 2) + 0.0  # no -0.0


def with_nothing() -> Any:
    X = words()
    X[::7, 0], X[3::11, 1] = None, float("nan")
    return X


def with_nan() -> Any:
    X = numbers()
    X[::7, 0] = np.nan
    return X


def same(a: list[Any], b: list[Any]) -> bool:
    return [list(map(repr, x.tolist())) for x in a] == [list(map(repr, x.tolist())) for x in b]


@pytest.mark.parametrize("table", [words, numbers, with_nothing, with_nan])
@pytest.mark.parametrize("sparse_output", [True, False])
def test_agrees_with_scikit_learn_on_the_records_that_stay(table: Any, sparse_output: bool) -> None:
    X, gone = table(), list(range(0, 60, 4))
    rest = np.delete(X, gone, axis=0)
    model = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse_output, salt=SALT).fit(X)
    assert not same(model.categories_, Reference().fit(rest).categories_), "the control"
    model.forget(records=gone)
    reference = Reference(handle_unknown="ignore", sparse_output=sparse_output).fit(rest)
    assert same(model.categories_, reference.categories_)
    assert (model.transform(X) != reference.transform(X)).sum() == 0
    assert model.get_feature_names_out().tolist() == reference.get_feature_names_out().tolist()
    back = model.inverse_transform(model.transform(rest))
    assert list(map(repr, back.ravel())) == list(map(repr, rest.ravel()))


def test_a_category_leaves_with_its_last_record_and_not_before() -> None:
    X = np.array([["a", "x"], ["b", "x"], ["b", "y"], ["c", "y"]], dtype=object)
    model = OneHotEncoder(salt=SALT).fit(X)
    model.forget(records=[1])
    assert [c.tolist() for c in model.categories_] == [["a", "b", "c"], ["x", "y"]]
    model.forget(records=[2])
    assert [c.tolist() for c in model.categories_] == [["a", "c"], ["x", "y"]]
    assert model.transform(X[[0]]).shape == (1, 4)
    with pytest.raises(ValueError, match="unknown categories"):
        model.transform(X[[1]])


def test_one_as_a_whole_number_as_a_float_and_as_true_is_one_category_whichever_stays() -> None:
    X = np.array([[1.0], [1], [True], [2.5]], dtype=object)
    for first in range(3):
        model = OneHotEncoder(salt=SALT).fit(X)
        stay = [first, 3]
        model.forget(records=[i for i in range(4) if i not in stay])
        assert model.digest() == OneHotEncoder(salt=SALT).fit(X[stay]).digest()
        assert repr(model.categories_[0].tolist()) == "[1, 2.5]"


def test_zeros_of_both_signs_are_one_category_whichever_stays() -> None:
    X = np.array([[-0.0], [0.0], [3.0]])
    model = OneHotEncoder(salt=SALT).fit(X)
    model.forget(records=[1])
    assert model.digest() == OneHotEncoder(salt=SALT).fit(X[[0, 2]]).digest()


def test_what_cannot_be_a_category_is_refused() -> None:
    for X in ([["a"], [1]], [[{"a": 1}], ["b"]], [[b"bytes"], ["b"]]):
        with pytest.raises(InvalidData):
            OneHotEncoder(salt=SALT).fit(np.array(X, dtype=object))
    with pytest.raises(InvalidParameter):
        OneHotEncoder(handle_unknown="guess").fit(words())  # type: ignore[arg-type]


FRAMES = {
    "categories": lambda: pd.Categorical(["x", "y", "x", "only here"], categories=["only here", "x", "y", "never"]),
    "booleans": lambda: [True, True, True, False],
    "whole numbers, some missing": lambda: pd.array([1, None, 2, 7], dtype="Int64"),
    "words, some missing": lambda: np.array(["a", None, "b", "only here"], dtype=object),
    "numbers, some missing": lambda: [1.0, np.nan, 2.0, 7.0],
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_column_of_a_frame_forgets_whatever_its_type(kind: str) -> None:
    frame = pd.DataFrame({"a": FRAMES[kind]()})
    model, fresh = (
        OneHotEncoder(sparse_output=False, salt=SALT).fit(frame),
        OneHotEncoder(sparse_output=False, salt=SALT).fit(frame.iloc[:3]),
    )
    assert model.digest() != fresh.digest(), "the control"
    model.forget(records=[3])
    assert model.digest() == fresh.digest()
    np.testing.assert_array_equal(model.transform(frame.iloc[:3]), fresh.transform(frame.iloc[:3]))


def test_a_column_whose_only_fraction_leaves_encodes_as_whole_numbers_do() -> None:
    """It stays one of floats, as it was given: the same categories, in another type of array."""
    model = OneHotEncoder(sparse_output=False, salt=SALT).fit(np.array([[1.0], [2.0], [2.5]]))
    model.forget(records=[2])
    whole = np.array([[1], [2]])
    fresh = OneHotEncoder(sparse_output=False, salt=SALT).fit(whole)
    np.testing.assert_array_equal(model.categories_[0], fresh.categories_[0])
    np.testing.assert_array_equal(model.transform(whole), fresh.transform(whole))


@pytest.mark.parametrize(
    "column",
    [pd.array(["a", None, "b"], dtype="string"), pd.to_datetime(["2020", "2021", "2020"])],
    ids=["NA", "dates"],
)
def test_a_missing_text_of_pandas_and_a_date_are_refused(column: Any) -> None:
    with pytest.raises(InvalidData, match="must be a string or a number, None or NaN; got"):
        OneHotEncoder(salt=SALT).fit(pd.DataFrame({"a": column}))


def test_a_plan_says_that_learners_of_the_output_have_to_be_fitted_again() -> None:
    (note,) = OneHotEncoder(salt=SALT).fit(words()).plan(records=[0]).notes
    assert "retrain" in note


def test_a_deleted_category_is_nowhere(tmp_path: Path) -> None:
    model = OneHotEncoder(salt=SALT).fit(words())
    model.transform(words())

    def held() -> bytes:
        model.save(tmp_path / "m")
        files = [path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()]
        return pickle.dumps(model) + b"".join(files)

    assert b"only-10" in held(), "the control"
    model.forget(records=[10])
    assert b"only-10" not in held()
    assert b"only-20" in held()
