"""Any deletions from numbers that are hard to sum: the bits of a fit without, whatever the numbers.

Ties, outliers, offsets, zeros of both signs, numbers that are nearly none, and records that are there several times.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from expunge.exact import Forest, GaussianNB, KMeans, StandardScaler

SALT = b"a salt for tests"
N = 36

LEARNERS: dict[str, Callable[[], Any]] = {
    "forest": lambda: Forest(trees=3, depth=4, salt=SALT),
    "forest, regression": lambda: Forest(trees=3, depth=4, task="regression", salt=SALT),
    "k-means": lambda: KMeans(n_clusters=3, widths=(3, 2), oversampling=2, salt=SALT),
    "naive Bayes": lambda: GaussianNB(salt=SALT),
    "scaler": lambda: StandardScaler(salt=SALT),
}
Column = Callable[[np.random.Generator], Any]
COLUMNS: dict[str, Column] = {
    "plain": lambda draw: draw.normal(size=N),
    "ties": lambda draw: draw.integers(0, 3, N).astype(float),
    "an outlier": lambda draw: np.where(np.arange(N) == draw.integers(N), 1e9, draw.normal(size=N)),
    "an offset": lambda draw: draw.normal(size=N) + 10.0 ** draw.integers(3, 9),
    "zeros of both signs": lambda draw: draw.choice([0.0, -0.0, 1.0], N),
    "nearly none": lambda draw: draw.choice([1e-310, -1e-310, 0.0], N),
    "constant but for one": lambda draw: np.where(np.arange(N) == draw.integers(N), 7.0, 2.5),
}


def _table(seed: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    chosen = draw.choice(sorted(COLUMNS), 4, replace=False)
    X = np.column_stack([COLUMNS[name](draw) for name in chosen])
    again = draw.integers(0, N, N // 4)
    X[draw.integers(0, N, N // 4)] = X[again]  # the same record several times
    return X, draw


@pytest.mark.parametrize("kind", LEARNERS)
def test_any_deletions_leave_the_bits_of_a_fit_without(kind: str) -> None:
    other = 0
    for seed in range(40):
        X, draw = _table(seed)
        y = draw.choice([0.0, 1e6, -1e-3], N) if kind == "forest, regression" else np.arange(N) % 3
        order = draw.permutation(N)
        cuts = [order[:1], order[1:4], order[4 : draw.integers(5, N - 6)]]
        model, left = LEARNERS[kind]().fit(X, y, records=range(N)), list(range(N))
        with_all = model.digest()
        for gone in cuts:
            model.forget(records=gone.tolist())
            left = [i for i in left if i not in set(gone.tolist())]
            fresh = LEARNERS[kind]().fit(X[left], y[left], records=left)
            assert [u.digest for u in model.units()] == [u.digest for u in fresh.units()], (seed, gone)
        other += model.digest() != with_all
    assert other == 40, "the control: with the records it is another model"
