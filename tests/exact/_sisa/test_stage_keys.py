"""What decides bits is in the key of a stage: two fits in one work folder of which only a type differs share no stage."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.tree import DecisionTreeClassifier

from expunge.exact import Sisa

SALT = b"a salt for tests"
X = np.random.default_rng(0).integers(0, 3, size=(40, 3))
Y = np.arange(40) % 2

LABELS: dict[str, Any] = {
    "int64": Y,
    "int8": Y.astype(np.int8),
    "bool": Y.astype(bool),
    "float64": Y.astype(float),
    "text": Y.astype(str),
}
TABLES: dict[str, Any] = {
    "int64": X,
    "int8": X.astype(np.int8),
    "uint8": X.astype(np.uint8),
    "float64": X.astype(float),
    "float32": X.astype(np.float32),
    "sparse float64": sparse.csr_array(X.astype(float)),
    "sparse float32": sparse.csr_array(X.astype(np.float32)),
}
WEIGHTS = {"none": None, "ones": np.ones(40)}


def _keys(folder: Path, passes: bool, X: Any = X, y: Any = Y, weights: Any = None) -> set[str]:
    settings = {"slices": 2, "epochs": 2} if passes else {}
    estimator = SGDClassifier() if passes else DecisionTreeClassifier(max_depth=2)
    model = Sisa(estimator, shards=2, workers=1, salt=SALT, **settings)
    subjects = [f"u{i}" for i in range(40)]
    model.fit(X, y, subjects=subjects, sample_weight=weights, work=folder)
    assert model._files() == {p.name.split(".")[0] for p in folder.iterdir()}
    return model._files()


@pytest.mark.parametrize("passes", [False, True], ids=["by one fit", "by passes"])
@pytest.mark.parametrize(
    ("what", "kinds"), [("y", LABELS), ("X", TABLES), ("weights", WEIGHTS)], ids=["labels", "records", "weights"]
)
def test_of_another_type_no_stage_is_shared(tmp_path: Path, what: str, kinds: dict[str, Any], passes: bool) -> None:
    keys = {name: _keys(tmp_path / name, passes, **{what: values}) for name, values in kinds.items()}
    again = _keys(tmp_path / "again", passes, **{what: kinds[next(iter(kinds))]})
    assert again == keys[next(iter(kinds))], "the control: of the same type they are the same"
    for one, other in combinations(keys, 2):
        assert not keys[one] & keys[other], (one, other)


def test_zeros_of_two_types_have_the_same_bytes_and_other_keys(tmp_path: Path) -> None:
    """A class of which every label is zero, in rows of zeros: nothing but the type tells them apart."""
    zeros = [np.zeros((40, 2), dtype) for dtype in (np.int64, np.float64)]
    assert zeros[0].tobytes() == zeros[1].tobytes(), "the control"
    one, other = (_keys(tmp_path / str(i), False, X=X, y=LABELS["int64"]) for i, X in enumerate(zeros))
    assert not one & other


def test_a_label_that_leaves_changes_no_key_of_other_units(tmp_path: Path) -> None:
    """The longest text decides the type of an array; a fit without it has to find the stages of all others."""
    y = Y.astype(str).astype("<U30")
    y[3] = "a label that nobody else has"
    whole = Sisa(DecisionTreeClassifier(), shards=4, workers=1, salt=SALT)
    subjects = [f"u{i}" for i in range(40)]
    whole.fit(X, y, subjects=subjects, work=tmp_path)
    rest = np.delete(np.arange(40), 3)
    fresh = Sisa(DecisionTreeClassifier(), shards=4, workers=1, salt=SALT)
    fresh.fit(X[rest], y[rest].astype("<U1"), subjects=[subjects[i] for i in rest])
    whole.forget(records=[3], work=tmp_path)
    assert whole._files() == fresh._files()
    assert whole.digest() == fresh.digest()


def test_regression_targets_are_of_one_type(tmp_path: Path) -> None:
    """They are given to the estimator as float64, whatever they came as: one type, one key."""
    keys = []
    for y in (Y, Y.astype(np.float32)):
        model = Sisa(SGDRegressor(), shards=2, workers=1, salt=SALT)
        keys.append(model.fit(X, y, subjects=[f"u{i}" for i in range(40)], work=tmp_path)._files())
    assert keys[0] == keys[1]
