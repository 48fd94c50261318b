"""k-means that can forget: a tree of small clusterings, of which a record touches one path.

Source: Ginart, Guan, Valiant, Zou (2019), "Making AI forget you: data deletion in machine learning", arXiv:1907.05012,
divide-and-conquer k-means. Differs from the paper: a node passes up more centers than clusters are asked for, the root
picks the best of several starts, and its centers take one more step over what all leaves pass up.
Shapes: n records of d numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.utils.validation import validate_data

from expunge.core import Equality, Route
from expunge.core.errors import InvalidData, InvalidParameter, NothingLeft
from expunge.core.seeds import derived_seed
from expunge.exact._k_means.tree import Tree, inertia_of, nearest
from expunge.exact._learner.fitted import Learned, Parts
from expunge.exact._learner.learner import Learner
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.typed import is_whole
from expunge.exact._registry import learners
from expunge.exact._sums.moments import check_size


@dataclass(frozen=True)
class Clusters(Learned):
    """The tree with the summaries of all its nodes, and the centers of what it passes up."""

    tree: Tree
    cluster_centers_: NDArray[np.float64]
    n_iter_: int

    def packed(self) -> dict[str, Any]:
        return {"centers": self.cluster_centers_, "n_iter": self.n_iter_, **self.tree.packed()}


@learners.add
class KMeans(ClusterMixin, Learner):
    """k-means by divide and conquer: `forget` runs the leaf of the record again, and the nodes between it and the root.

    `widths` are the numbers of nodes of each level from the leaves up, below the root. They are declared and never
    derived from the number of records, since a fit with fewer records would then be another tree. About 500 records a
    leaf keep a deletion cheap; a leaf of few records costs nothing, so a small table may stand in a wide tree.

    A record's leaf is a keyed hash of its subject; without subjects, of the id given in `records`; without either, of
    its values. So the leaf of one record does not depend on any other. All records of a subject share a leaf, and so do
    equal records without subjects and ids: where they are a large part of the records, their leaf is large.

    Guaranteed: after `forget`, the centers have the same bits as those of a fit without the records. Not guaranteed:
    the inertia of a k-means over all records at once, though 1.05 times it is usual; `oversampling` buys some of it back.
    """

    equality = Equality.BITWISE
    route = Route.REBUILD

    def __init__(
        self,
        *,
        n_clusters: int = 8,
        widths: tuple[int, ...] = (1024, 32),
        oversampling: int = 2,
        n_init: int = 8,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        salt: bytes | None = None,
    ) -> None:
        self.n_clusters, self.widths, self.oversampling = n_clusters, widths, oversampling
        self.n_init, self.max_iter, self.tol = n_init, max_iter, tol
        self.random_state, self.salt = random_state, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        for name in ("n_clusters", "oversampling", "n_init", "max_iter"):
            if not is_whole(value := getattr(self, name)) or value < 1:
                raise InvalidParameter(f"{name} must be a whole number of at least 1, got {value!r}")
        widths = self.widths if isinstance(self.widths, Sequence) else ()
        falling = all(
            is_whole(wide) and 1 <= wide <= below for below, wide in zip([np.inf, *widths], widths, strict=False)
        )
        if not widths or not falling:
            raise InvalidParameter(
                f"widths are numbers of nodes that do not rise, such as (1024, 32); got {self.widths!r}"
            )
        X = validate_data(self, X, dtype=np.float64)
        check_size(X)
        return X, None

    def _learn(self, rows: Rows) -> Clusters:
        if rows.n < self.n_clusters:
            raise InvalidData(f"n_samples={rows.n} is too few for n_clusters={self.n_clusters}; ask for fewer clusters")
        tree = self._planted(rows)
        return self._clustered(tree, rows, np.arange(tree.widths[0]))

    def _unlearn(self, learned: Clusters, rows: Rows, gone: Positions) -> Clusters:
        return self._clustered(learned.tree.pruned(gone), rows, np.unique(learned.tree.leaf_of[gone]))

    def _extend(self, learned: Clusters, rows: Rows, kept: Positions) -> Clusters:
        tree = learned.tree.grown(rows, kept)
        return self._clustered(tree, rows, np.unique(tree.leaf_of[len(kept) :]))

    def _clustered(self, tree: Tree, rows: Rows, nodes: NDArray[np.int64]) -> Clusters:
        """Summarise these leaves and the nodes above them, then cluster what the top level passes up."""
        for leaf in nodes.tolist():
            tree.summarise(0, leaf, rows.X[tree.members[leaf]])
        for level in range(1, len(tree.widths)):
            nodes = np.unique(nodes % tree.widths[level])
            for node in nodes.tolist():
                tree.summarise(level, node)
        seeds = [derived_seed(tree.salt, "k_means", "root", start) for start in range(self.n_init)]
        return Clusters(tree, *tree.clustered(self.n_clusters, seeds, self.max_iter, self.tol))

    def _cost(self, learned: Clusters, rows: Rows, gone: Positions) -> float:
        if rows.n - len(gone) < self.n_clusters:
            raise NothingLeft(
                f"{rows.n - len(gone)} records would stay for {self.n_clusters} clusters; fit again with fewer clusters"
            )
        touched, whole = learned.tree.work(gone)
        return touched / whole

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Clusters:
        tree = self._planted(rows)
        tree.unpack(values)
        return Clusters(tree, values["centers"], values["n_iter"])

    def _planted(self, rows: Rows) -> Tree:
        return Tree(rows, tuple(self.widths), self.oversampling * self.n_clusters)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """The nearest center of each row, the first of equally near ones."""
        label: NDArray[np.int64] = nearest(np.ascontiguousarray(self._query(X)), self.cluster_centers_)[0]
        return label

    @property
    def labels_(self) -> NDArray[np.int64]:
        """The cluster of every record that stays, in the order of `fit`; computed when asked for, in one pass."""
        label: NDArray[np.int64] = nearest(self._fitted().rows.live()[0], self.cluster_centers_)[0]
        return label

    @property
    def inertia_(self) -> float:
        """Sum of squared distances of the records to their centers; computed when asked for, in one pass."""
        return inertia_of(self._fitted().rows.live()[0], self.cluster_centers_)
