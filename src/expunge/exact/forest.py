"""A forest of decision trees that can forget: candidate splits are drawn without the data, so no record is in them.

Source: exact deletion from trees by kept statistics, Brophy and Lowd (2021), DaRE, arXiv:2009.05567; thresholds drawn
at random, Geurts, Ernst and Wehenkel (2006), Extremely randomized trees. Unlike DaRE's, thresholds are not values of
records, so that the last record with some value leaves nothing behind.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from expunge.core import Equality
from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.seeds import derived_seed
from expunge.exact._forest.grid import CELLS, Extent, declared_range, declared_ranges, encode
from expunge.exact._forest.kernels import ABSENT, EDGE, SLOT, SPLIT, Shape, Trees, ask, grow, room, unlearn
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.task import ByTask, classifies
from expunge.exact._registry import learners

_KEEP = 64  # records from which a node keeps statistics; fewer are counted again as fast
_FINE = 2**30  # steps of a numeric target's range: sums over eight million records stay exact in float64
_LIMITS = {"trees": 10**5, "depth": 60, "thresholds": 4095, "min_leaf": 2**31}


def _units(salt: bytes, what: str, n: int) -> NDArray[np.float64]:
    """Numbers in [1, 2), drawn from the salt."""
    return np.array([1 + (derived_seed(salt, "forest range", what, j) >> 11) / 2**52 for j in range(n)])


class Work(NamedTuple):
    """What a deletion did to the trees."""

    visited: int  # nodes whose statistics it changed
    subtrees: int  # grown anew, because another split became best
    regrown: int  # nodes in these
    looked_at: int  # records, once for every node that counted them


@learners.add
class Forest(ByTask):
    """Trees with about `thresholds` random candidate splits a feature, on a share `features` of the columns a node.

    `task` is "classification" or "regression". `ranges` declares (low, high) for all columns, or a list with that or
    None for each; values outside count as the nearest end. Ranges that are not declared are those of the data, rounded
    outward; declare them where a few records lie far from the rest, whose range would leave it few candidates. Numeric
    targets are added up in 2^30 steps of their range, which is `target_range` where declared.

    Guaranteed: after `forget` trees and counts have the same bits as those of a fit without the records: a subtree is
    grown anew where another split has become best, and nowhere else. Where a class vanishes, or the record leaves that
    alone held up a rounded range, the whole forest is grown anew, and the plan says so. Not saved: the statistics that
    make deletion fast. They come back after `load` as deletions need them; the first costs about a third of a fit.

    A plan's cost is an estimate, sqrt(1.6 m / n) for m records that leave n behind: within a factor of three of what
    was measured from 10 records in 20,000 to a third of 100,000; single records and smaller tables vary more. Memory
    grows with the trees times the least of 2^depth and 2 n / min_leaf.

    >>> X = np.arange(40.0).reshape(20, 2)
    >>> forest = Forest(trees=3, salt=b"secret").fit(X, X[:, 0] > 20)
    >>> forest.forget(records=[4]).plan.n_removed
    1
    >>> forest.digest() == Forest(trees=3, salt=b"secret").fit(np.delete(X, 4, 0), np.delete(X, 4, 0)[:, 0] > 20).digest()
    True
    """

    equality = Equality.BITWISE
    work_: Work  # of the last deletion, unless that made the whole forest anew

    def __init__(
        self,
        *,
        task: str = "classification",
        trees: int = 50,
        depth: int = 10,
        thresholds: int = 10,
        features: float = 0.6,
        min_leaf: int = 1,
        ranges: Any = None,
        target_range: Any = None,
        random_state: Any = None,
        salt: bytes | None = None,
    ) -> None:
        self.task, self.trees, self.depth, self.thresholds, self.features = task, trees, depth, thresholds, features
        self.min_leaf, self.ranges, self.target_range = min_leaf, ranges, target_range
        self.random_state, self.salt = random_state, salt

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=not classifies(self))
        declared_ranges(self.ranges, X.shape[1])
        if classifies(self):
            check_classification_targets(y)
            return X, y
        y = y.astype(np.float64)
        if self.target_range is not None:
            low, high = declared_range(self.target_range, "target_range")
            if y.min() < low or y.max() > high:
                raise InvalidData(f"targets lie in {y.min():g}..{y.max():g}, outside target_range={self.target_range}")
        return X, y

    def _check_parameters(self) -> None:
        if self.task not in ("classification", "regression"):
            raise InvalidParameter(f"task must be 'classification' or 'regression', got {self.task!r}")
        for name, most in _LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or not 1 <= value <= most:
                raise InvalidParameter(f"{name} must be a whole number in 1..{most}, got {value!r}")
        if not 0 < self.features <= 1:
            raise InvalidParameter(f"features is the share of columns tried at a node, in (0, 1], got {self.features}")

    # -- learning and unlearning ---------------------------------------------------------------------------------

    def _learn(self, rows: Rows) -> None:
        self._plant(rows, np.zeros((0, 2), np.int64), np.zeros(self.trees, np.int64))

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        splits = np.stack([learned["feature"], learned["edge"]], axis=1).astype(np.int64)
        self._plant(rows, splits, learned["sizes"])

    def _plant(self, rows: Rows, splits: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Grow trees over the live records, with given splits or the best ones."""
        places, (X, y) = rows.positions(), rows.live()
        self._extent = Extent.of(X, declared_ranges(self.ranges, X.shape[1]), _units(rows.salt, "column", X.shape[1]))
        codes, target = encode(np.ascontiguousarray(X), self._extent.ranges), self._take_target(y, rows.salt)
        self._codes, self._target = codes, target
        if rows.n < rows.size:  # after an earlier deletion there are gaps among the positions
            self._codes = np.zeros((rows.size, X.shape[1]), codes.dtype)
            self._target = np.zeros(rows.size, target.dtype)
            self._codes[places], self._target[places] = codes, target
        self._trees = self._bare(rows)
        grow(self._trees, (self._codes, self._target), places, self._box(), self._shape(), splits, sizes)

    def _take_target(self, y: Any, salt: bytes) -> NDArray[Any]:
        """Targets as whole numbers; sets what they are codes or steps of."""
        if classifies(self):
            self.classes_, codes = np.unique(y, return_inverse=True)
            return np.asarray(codes, np.int32)
        declared = None if self.target_range is None else declared_range(self.target_range, "target_range")
        self._target_extent = Extent.of(y[:, None], [declared], _units(salt, "target", 1))
        low, high = self._target_extent.ranges[0]
        share = (y / 2 - low / 2) / (high / 2 - low / 2) if low < high else np.zeros(len(y))
        return np.asarray(np.rint(share * _FINE), np.int64)

    def _bare(self, rows: Rows) -> Trees:
        """Room for all trees that these records can make, with nothing in it."""
        shape = self._shape()
        most = int(room(rows.n, 0, shape))
        if self.trees * most >= 2**31:
            raise InvalidParameter(f"{self.trees} trees of up to {most} nodes are too many; lower depth or trees")
        values, dtype = (2, np.int64) if not classifies(self) else (max(2, len(self.classes_)), np.int32)
        hist = dtype if rows.n >= 2**16 or not classifies(self) else np.uint16
        node = np.zeros(6, np.int32)
        node[SPLIT], node[SLOT] = ABSENT, -1
        slots = self.trees * min(most // 2, rows.n // _KEEP + 1)  # a node without one counts its records again
        return Trees(
            seed_T=np.array([derived_seed(rows.salt, "forest", t) for t in range(self.trees)], dtype=np.uint64),
            node_NA=np.tile(node, (self.trees * most, 1)),
            value_NV=np.zeros((self.trees * most, values), dtype),
            order_Tn=np.zeros((self.trees, rows.n), np.int32),
            hist=np.zeros((slots, shape.tried, self.thresholds + 1, values), hist),
            free=np.append(np.arange(slots), slots).astype(np.int32),
        )

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        trees = self._grown(rows)
        self._extent = self._extent.without(rows.X, rows.alive, gone)
        if not classifies(self):
            self._target_extent = self._target_extent.without(rows.y[:, None], rows.alive, gone)
        done = unlearn(trees, (self._codes, self._target), gone, self._box(), self._shape())
        self._codes[gone], self._target[gone] = 0, 0
        self.work_ = Work(*done.tolist())

    def _cost(self, rows: Rows, gone: Positions) -> float:
        if self._moves(rows, gone):
            return 1.0
        return float(np.sqrt(1.6 * len(gone) / (rows.n - len(gone))))

    def _moves(self, rows: Rows, gone: Positions) -> bool:
        """Whether a range, or the set of classes, is another one without these records."""
        if not np.array_equal(self._extent.without(rows.X, rows.alive, gone).ranges, self._extent.ranges):
            return True
        if not classifies(self):
            extent = self._target_extent.without(rows.y[:, None], rows.alive, gone)
            return not np.array_equal(extent.ranges, self._target_extent.ranges)
        codes = np.searchsorted(self.classes_, rows.y[gone])
        root = self._grown(rows).value_NV[0]
        held = root if len(self.classes_) > 2 else np.array([root[0] - root[1], root[1]])[: len(self.classes_)]
        return bool((held == np.bincount(codes, minlength=len(self.classes_))).any())

    def _shape(self) -> Shape:
        tried = max(1, round(self.features * self.n_features_in_))
        highest = (1 if len(self.classes_) <= 2 else 0) if classifies(self) else _FINE
        return Shape(int(self.depth), int(self.thresholds), tried, int(self.min_leaf), _KEEP, highest)

    def _box(self) -> NDArray[np.int64]:
        """The codes that are open at a root."""
        box = np.zeros((self.n_features_in_, 2), np.int64)
        box[:, 1] = CELLS - 1
        return box

    # -- state and answers ---------------------------------------------------------------------------------------

    def _learned(self) -> dict[str, Any]:
        trees = self._grown(self._rows)
        nodes = np.flatnonzero(trees.node_NA[:, SPLIT] != ABSENT)  # ids ascend in the order of growing
        per_tree = len(trees.node_NA) // self.trees
        learned = {
            "sizes": np.bincount(nodes // per_tree, minlength=self.trees),
            "feature": trees.node_NA[nodes, SPLIT],
            "edge": trees.node_NA[nodes, EDGE],
            "value": trees.value_NV[nodes],
            "ranges": self._extent.ranges,
        }
        if classifies(self):
            return {**learned, "classes": self.classes_}
        return {**learned, "target_range": self._target_extent.ranges}

    def _grown(self, rows: Rows) -> Trees:
        """The trees; grown anew if an interrupted deletion has left them without records that are still held."""
        root = self._trees.value_NV[0]
        if (root[0] if self._shape().highest else root.sum()) != rows.n:
            self._learn(rows)
        return self._trees

    def _shares(self, X: Any) -> NDArray[np.float64]:
        codes = encode(np.ascontiguousarray(self._asked(X)), self._extent.ranges)
        shares: NDArray[np.float64] = ask(self._grown(self._rows), codes, self._shape())
        return shares

    def predict(self, X: Any) -> Any:
        """The class with the highest mean share, or the mean of the leaves' mean targets."""
        if classifies(self):
            likeliest = self.predict_proba(X).argmax(axis=1)
            return self.classes_[likeliest]
        share, (low, high) = self._shares(X)[:, 0], self._target_extent.ranges[0]
        return low * (1 - share) + high * share

    @available_if(classifies)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Mean over the trees of the share of every class in a row's leaf, in the order of `classes_`."""
        shares = self._shares(X)
        if len(self.classes_) > 2:
            return shares
        return np.hstack([1 - shares, shares])[:, : len(self.classes_)]
