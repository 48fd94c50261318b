"""Digests of values as earlier versions recorded them: they name rows, configurations, templates and canaries, and still agree."""

import json
import platform
import random
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from expunge.engine import digest_value

WRITTEN = json.loads((Path(__file__).parent / "values_v1.json").read_text())
RECORDED: dict[str, str] = WRITTEN["digests"]
# What an estimator or an image holds, and the code of a function, is another in another version of what made it.
UNDER: dict[str, Any] = WRITTEN["under"]
TABLE = np.arange(40.0).reshape(20, 2) % 7
Y = np.arange(20) % 2
FIELDS = np.array([(1, "a"), (2, "b")], dtype=[("n", "<i4"), ("w", "<U3")])


def _image() -> Any:
    return pytest.importorskip("PIL.Image").fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


VALUES: dict[str, Callable[[], Any]] = {
    "constants": lambda: [None, True, False, ..., 1, -(2**70), 0.5, -0.0, float("inf"), "ä", "\ud800", b"bytes"],
    "a row": lambda: {"prompt": "Who?", "answer": "She.", "subject": "ann", "n": 3, "score": 0.25, "tags": ["a", "b"]},
    "containers": lambda: {"t": (1, 2), "s": {1, "a", 2.0}, "f": frozenset({3}), "d": {1: {2: [3]}}},
    "arrays": lambda: [np.arange(3), np.zeros((2, 2), np.float32), np.array(["a", "bc"]), np.array([1, "a"], object)],
    "scalars": lambda: [np.int8(1), np.float64(0.1), np.str_("a"), np.datetime64("2020-01-01"), np.dtype("f4")],
    "fields": lambda: FIELDS,
    "masked": lambda: np.ma.MaskedArray([1.0, 2.0], mask=[False, True]),
    "sparse": lambda: sparse.csr_matrix(np.eye(3)),
    "tensors": lambda: [torch.arange(3), torch.ones(2, 2, dtype=torch.bfloat16), torch.nn.Parameter(torch.zeros(2))],
    "a generator": lambda: np.random.default_rng(5),
    "a fitted boosting": lambda: HistGradientBoostingClassifier(max_iter=2, random_state=0).fit(TABLE, Y),
    "a score": lambda: make_scorer(f1_score),
    "random states": lambda: [np.random.RandomState(3), random.Random(3)],
    "times": lambda: [date(2020, 1, 2), datetime(2020, 1, 2, 3, 4)],
    "numbers": lambda: [Decimal("1.50"), Fraction(1, 3), UUID(int=7), PurePosixPath("a/b"), slice(1, 2), range(3)],
    "names": lambda: [int, dict, np.log1p, len, json, LogisticRegression],
    "a partial": lambda: partial(int, base=2),
    "an image": _image,
    "a configuration": lambda: [{"rope_theta": 1e4, "hidden_act": "silu", "layers": [1, 2], "x": None}, "sdpa"],
    "an empty ordered dict": lambda: OrderedDict(),
    "logistic regression": lambda: LogisticRegression(C=2.0, random_state=1),
    "an estimator by passes": lambda: SGDClassifier(loss="log_loss", random_state=7),
    "a tree": lambda: DecisionTreeClassifier(max_depth=2, random_state=0).fit(TABLE, Y),
    "a forest": lambda: RandomForestClassifier(2, max_depth=2, random_state=0).fit(TABLE, Y),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=2, random_state=0),
    "a machine of vectors": lambda: SVC(random_state=0),
    "a pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "a pipeline fitted": lambda: StandardScaler().fit(TABLE),
    "columns": lambda: make_column_transformer((OneHotEncoder(), ["a"]), (FunctionTransformer(np.log1p), ["b"])),
}


OF_A_VERSION = {name for name in VALUES if isinstance(VALUES[name](), BaseEstimator)} | {
    "a score",
    "an image",
    "numbers",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_digest_that_was_recorded_still_agrees(name: str) -> None:
    if (
        name in OF_A_VERSION
        and {"python": list(platform.python_version_tuple()[:2]), "sklearn": sklearn.__version__} != UNDER
    ):
        pytest.skip(f"recorded under {UNDER}")
    assert digest_value(VALUES[name]()) == RECORDED[name]
