"""What `Track` writes names the trained state: other data, another digest; the same data, the same one."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from expunge.workflow.shapes.split import split
from expunge.workflow.shapes.track import UNIT_FILE, state_digest

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


WITH_THREADS = """
import sys
import numpy as np
from sklearn.linear_model import LogisticRegression
from expunge.workflow.shapes.split import split
from expunge.workflow.shapes.track import Track
(unit,) = split([{"subject": "ann", "x": 1}], shards=1, salt=b"s")
Track(unit).done(LogisticRegression().fit(np.eye(4), [0, 1, 0, 1]), sys.argv[1])
Track(unit).done("sha256:of-a-loop-of-my-own", sys.argv[2])
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_that_an_estimator_ran_with_are_recorded(threads: int, tmp_path: Path) -> None:
    settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    folders = [tmp_path / name for name in ("estimator", "own")]
    command = [sys.executable, "-W", "ignore", "-c", WITH_THREADS, *map(str, folders)]
    subprocess.run(command, env={**os.environ, **settings}, check=True)
    for folder in folders:
        environment = json.loads((folder / UNIT_FILE).read_text())["recipe"]["environment"]
        assert environment["threads"] == threads
        assert environment["scikit-learn"]["transform_output"] == "default"


def test_the_threads_of_a_block_are_recorded_within_it(tmp_path: Path) -> None:
    from threadpoolctl import threadpool_limits

    from expunge.workflow.shapes.track import Track

    (unit,) = split([{"subject": "ann", "x": 1}], shards=1, salt=b"s")
    for n in (1, 2):
        with threadpool_limits(limits=n):
            done = Track(unit).done(LogisticRegression().fit(X, Y), tmp_path)
        assert json.loads(done.read_text())["recipe"]["environment"]["threads"] == n
