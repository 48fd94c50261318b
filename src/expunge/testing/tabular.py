"""Awkward data, and every tabular learner with settings to try it on: what contract tests and benches run over.

A learner written elsewhere can be held to the same claims: make a `Case` of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from expunge.core import Equality

SALT = b"a salt for tests, known to all"


@dataclass(frozen=True)
class Table:
    """Records with the subjects they are about."""

    X: Any
    y: Any
    subjects: list[str]

    def only(self, rows: Sequence[int]) -> "Table":
        """These rows, in this order."""
        keep = list(rows)
        X = [self.X[i] for i in keep] if isinstance(self.X, list) else self.X[keep]
        return Table(X, None if self.y is None else self.y[keep], [self.subjects[i] for i in keep])

    def without(self, gone: set[int]) -> "Table":
        return self.only([i for i in range(len(self.subjects)) if i not in gone])

    def fit(self, learner: Any) -> Any:
        return learner.fit(self.X, self.y, subjects=self.subjects)

    def add_to(self, learner: Any) -> Any:
        return learner.add(self.X, self.y, subjects=self.subjects)


@dataclass(frozen=True)
class Case:
    """A learner by the name of its file, its settings, and the kind of data it takes."""

    learner: str
    data: Callable[[int, int], Table]
    settings: Mapping[str, Any]

    def make(self, salt: bytes = SALT) -> Any:
        from expunge.exact import learners

        return learners.get(self.learner)(**self.settings, salt=salt)

    @property
    def equality(self) -> Equality:
        from expunge.exact import learners

        found: Equality = learners.get(self.learner).equality
        return found


def numbers(seed: int, n: int = 60) -> Table:
    """Numbers with ties, a constant column, one that becomes constant, rare and unique values; a rare class."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 7))
    X[:, 1] = np.round(X[:, 1])  # ties
    X[:, 2] = 3.7  # constant
    X[:, 3] = np.where(np.arange(n) == rng.integers(n), 8.1, 0.3)  # constant once one record leaves
    X[:, 4] = rng.geometric(0.5, n)  # rare values
    X[:, 5] = X[:, 0] * 1e6 + 1e7  # another scale
    y = (X[:, 0] + 0.5 * X[:, 1] + rng.normal(size=n) > 0).astype(int) + (X[:, 4] > 2)
    y[rng.integers(n)] = 7  # a class of one record
    return Table(X, y, _subjects(rng, n))


def targets(seed: int, n: int = 60) -> Table:
    """Numbers as in `numbers`, with a real target."""
    table = numbers(seed, n)
    rng = np.random.default_rng([seed, 1])
    return Table(table.X, table.X[:, 0] - 2 * table.X[:, 1] + rng.normal(size=n), table.subjects)


def counts(seed: int, n: int = 60) -> Table:
    """Whole numbers, some columns rare."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(np.geomspace(0.02, 3, 8), size=(n, 8)).astype(float)
    return Table(X, numbers(seed, n).y, _subjects(rng, n))


def categories(seed: int, n: int = 60) -> Table:
    """Words in columns: common, rare, unique to a record, constant."""
    rng = np.random.default_rng(seed)
    common = rng.choice(["red", "green", "blue"], n, p=[0.6, 0.35, 0.05])
    rare = np.where(rng.random(n) < 0.05, [f"only-{seed}-{i}" for i in range(n)], "usual")
    own = [f"name-{seed}-{i}" if i % 9 == 0 else "none" for i in range(n)]
    X = np.array([common, rare, own, ["same"] * n], dtype=object).T
    return Table(X, None, _subjects(rng, n))


def texts(seed: int, n: int = 60) -> Table:
    """Short texts; some words are in one text only, some texts are empty of words."""
    rng = np.random.default_rng(seed)
    words = ["alpha", "beta", "gamma", "delta", "the", "a", "of"]
    X = [" ".join(rng.choice(words, rng.integers(2, 9))) + f" secret{seed}x{i}" * (i % 5 == 0) for i in range(n)]
    return Table(X, None, _subjects(rng, n))


def mixed(seed: int, n: int = 60) -> Table:
    """Numbers of `numbers`, and two of the columns of words of `categories`, on which the class depends."""
    table, words = numbers(seed, n), categories(seed, n).X[:, :2]
    y = table.y + 2 * (words[:, 0] == "green").astype(int)
    return Table(np.hstack([table.X[:, :3].astype(object), words]), y, table.subjects)


def unlabelled(seed: int, n: int = 60) -> Table:
    """The numbers of `numbers`, nothing to predict."""
    table = numbers(seed, n)
    return Table(table.X, None, table.subjects)


def _sisa(data: Callable[[int, int], Table], estimator: Any, **settings: Any) -> Case:
    return Case("sisa", data, {"estimator": estimator, "workers": 1, **settings})


CASES: dict[str, Case] = {
    "multinomial_nb": Case("multinomial_nb", counts, {}),
    "forest": Case("forest", numbers, {"trees": 10}),
    "forest-declared": Case("forest", numbers, {"trees": 5, "depth": 4, "min_leaf": 3, "ranges": (-9.0, 9.0)}),
    "forest-regression": Case("forest", targets, {"trees": 10, "task": "regression"}),
    "forest-categories": Case("forest", mixed, {"trees": 10, "categorical_features": [-2, -1]}),
    "ridge": Case("ridge", targets, {}),
    "ridge, little penalty, no intercept": Case("ridge", targets, {"alpha": 1e-6, "fit_intercept": False}),
    "logistic_regression": Case("logistic_regression", numbers, {}),
    "logistic_regression, no intercept": Case("logistic_regression", numbers, {"C": 0.1, "fit_intercept": False}),
    "gaussian_nb": Case("gaussian_nb", numbers, {}),
    "k_neighbors": Case("k_neighbors", numbers, {}),
    "k_neighbors, regression": Case("k_neighbors", targets, {"task": "regression", "weights": "distance"}),
    "one_hot_encoder": Case("one_hot_encoder", categories, {}),
    "tfidf_vectorizer": Case("tfidf_vectorizer", texts, {}),
    "standard_scaler": Case("standard_scaler", unlabelled, {}),
    "k_means": Case("k_means", unlabelled, {"n_clusters": 3, "widths": (3, 2), "oversampling": 2}),
    "k_means, wide": Case("k_means", unlabelled, {"n_clusters": 3}),
    "sisa-logistic": _sisa(numbers, LogisticRegression(), shards=3),
    "sisa-sliced": _sisa(numbers, SGDClassifier(loss="log_loss"), shards=3, slices=3, epochs=4),
    "sisa-pipeline": _sisa(numbers, make_pipeline(StandardScaler(), SGDClassifier()), shards=2, slices=2, epochs=4),
    "sisa-regression": _sisa(targets, make_pipeline(StandardScaler(), SGDRegressor()), shards=3, slices=2, epochs=10),
}


@dataclass(frozen=True)
class Requests:
    """Deletions in a row, and the rows they leave out in the end."""

    asked: tuple[dict[str, Any], ...]
    gone: frozenset[int]


def requests(table: Table, seed: int) -> Requests:
    """One to three requests by subject, by record or both; the second half of the seeds start with the rare class.

    Among the records of `numbers`, the one of class 7 and the odd value of column 3 are often the first to go.
    """
    rng = np.random.default_rng([seed, 2])
    gone: set[int] = set()
    asked = []
    odd = [] if table.y is None else np.flatnonzero(table.y == 7).tolist()
    if isinstance(table.X, np.ndarray) and table.X.dtype == float:
        odd += [i for i in range(len(table.X)) if table.X[i, min(3, table.X.shape[1] - 1)] == 8.1]
    for k in range(int(rng.integers(1, 4))):
        left = [i for i in range(len(table.subjects)) if i not in gone]
        request: dict[str, Any] = {}
        if k == 0 and odd and seed % 2:
            request["records"] = [int(i) for i in dict.fromkeys(odd)]
        else:
            if rng.random() < 0.7:
                request["subjects"] = [table.subjects[int(rng.choice(left))]]
            if not request or rng.random() < 0.4:
                request["records"] = [int(i) for i in rng.choice(left, int(rng.integers(1, 4)), replace=False)]
        gone |= set(request.get("records", []))
        gone |= {i for i, s in enumerate(table.subjects) if s in request.get("subjects", [])}
        asked.append(request)
    return Requests(tuple(asked), frozenset(gone))


@dataclass(frozen=True)
class Growth:
    """Rows of a first fit; rows that come and requests, in turns; and the rows held in the end, in their order."""

    first: tuple[int, ...]
    then: tuple[tuple[int, ...] | dict[str, Any], ...]
    held: tuple[int, ...]

    def of(self, learner: Any, table: Table) -> Any:
        """The learner, after all of it."""
        table.only(self.first).fit(learner)
        for step in self.then:
            if isinstance(step, dict):
                learner.forget(**step)
            else:
                table.only(step).add_to(learner)
        return learner


def growth(table: Table, seed: int) -> Growth:
    """Rows in a shuffled order, some at the fit and the others in parts, and one to three people or records that leave between.

    A person who left may come again with other records, as people do.
    """
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(len(table.subjects)).tolist()
    ends = [*sorted(rng.choice(np.arange(len(order) // 2, len(order)), 3, replace=False).tolist()), len(order)]
    came, held, then = order[: ends[0]], order[: ends[0]], list[Any]()
    for begin, end in pairwise(ends):
        if rng.random() < 0.8:
            row = int(rng.choice(held))
            by_subject = rng.random() < 0.6
            then.append({"subjects": [table.subjects[row]]} if by_subject else {"records": [came.index(row)]})
            held = [i for i in held if (table.subjects[i] != table.subjects[row] if by_subject else i != row)]
        part = order[begin:end]
        then.append(tuple(part))
        came, held = came + part, held + part
    return Growth(tuple(order[: ends[0]]), tuple(then), tuple(held))


def _subjects(rng: np.random.Generator, n: int) -> list[str]:
    """A few records for most people, many for one."""
    return [f"u{int(k)}" for k in np.minimum(rng.geometric(0.06, n), 40)]
