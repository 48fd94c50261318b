"""A forest of decision trees that can forget: candidate splits are drawn without the data, so no record is in them.

Source: exact deletion from trees by kept statistics, Brophy and Lowd (2021), DaRE, arXiv:2009.05567; thresholds drawn
at random, Geurts, Ernst and Wehenkel (2006), Extremely randomized trees. Unlike DaRE's, thresholds are not values of
records, so that the last record with some value leaves nothing behind.
"""

from dataclasses import dataclass, replace
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
from expunge.exact._learner.fitted import FittedState, Learned, Parts
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
    """What a deletion did to the trees; `work_` of the last one, unless that made the whole forest anew."""

    visited: int  # nodes whose statistics it changed
    subtrees: int  # grown anew, because another split became best
    regrown: int  # nodes in these
    looked_at: int  # records, once for every node that counted them


@dataclass(frozen=True)
class Woods(Learned):
    """The trees, and the records as they see them: codes of values, and codes or steps of targets.

    A deletion changes the arrays of trees, codes and targets in place, since copying them would take longer than all
    the rest of it; `Forest._fitted` says why it may.
    """

    trees: Trees
    shape: Shape
    codes: NDArray[np.uint16]
    target: NDArray[Any]
    extent: Extent
    classes_: Any  # None in regression
    target_extent: Extent | None  # None in classification
    work_: Work | None = None

    @property
    def data(self) -> tuple[NDArray[np.uint16], NDArray[Any]]:
        return self.codes, self.target

    @property
    def box(self) -> NDArray[np.int64]:
        """The codes that are open at a root."""
        return np.tile([0, CELLS - 1], (self.codes.shape[1], 1))

    @property
    def n_records(self) -> int:
        """How many records the trees hold."""
        root = self.trees.value_NV[0]
        return int(root[0] if self.shape.highest else root.sum())

    def extents_without(self, rows: Rows, gone: Positions) -> tuple[Extent, Extent | None]:
        """The extents of values and of numeric targets once these records have left."""
        targets = self.target_extent and self.target_extent.without(rows.y[:, None], rows.alive, gone)
        return self.extent.without(rows.X, rows.alive, gone), targets

    def packed(self) -> dict[str, Any]:
        trees = self.trees
        nodes = np.flatnonzero(trees.node_NA[:, SPLIT] != ABSENT)  # ids ascend in the order of growing
        n_trees = len(trees.seed_T)
        learned = {
            "sizes": np.bincount(nodes // (len(trees.node_NA) // n_trees), minlength=n_trees),
            "feature": trees.node_NA[nodes, SPLIT],
            "edge": trees.node_NA[nodes, EDGE],
            "value": trees.value_NV[nodes],
            "ranges": self.extent.ranges,
        }
        if self.target_extent is None:
            return {**learned, "classes": self.classes_}
        return {**learned, "target_range": self.target_extent.ranges}


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

    def _learn(self, rows: Rows) -> Woods:
        return self._planted(rows, np.zeros((0, 2), np.int64), np.zeros(self.trees, np.int64))

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Woods:
        splits = np.stack([values["feature"], values["edge"]], axis=1).astype(np.int64)
        return self._planted(rows, splits, values["sizes"])

    def _planted(self, rows: Rows, splits: NDArray[np.int64], sizes: NDArray[np.int64]) -> Woods:
        """Trees over the live records, with given splits or the best ones."""
        places, (X, y) = rows.positions(), rows.live()
        d = X.shape[1]
        extent = Extent.of(X, declared_ranges(self.ranges, d), _units(rows.salt, "column", d))
        target, classes, target_extent = self._targets(y, rows.salt)
        codes = encode(np.ascontiguousarray(X), extent.ranges)
        if rows.n < rows.size:  # after an earlier deletion there are gaps among the positions
            live_codes, codes = codes, np.zeros((rows.size, d), codes.dtype)
            live_target, target = target, np.zeros(rows.size, target.dtype)
            codes[places], target[places] = live_codes, live_target
        shape = self._shape(d, classes)
        trees = self._bare(rows, shape, classes)
        woods = Woods(trees, shape, codes, target, extent, classes, target_extent)
        grow(trees, woods.data, places, woods.box, shape, splits, sizes)
        return woods

    def _targets(self, y: Any, salt: bytes) -> tuple[NDArray[Any], Any, Extent | None]:
        """Targets as whole numbers; the classes that they are codes of, or the extent that they are steps of."""
        if classifies(self):
            classes, codes = np.unique(y, return_inverse=True)
            return np.asarray(codes, np.int32), classes, None
        declared = None if self.target_range is None else declared_range(self.target_range, "target_range")
        extent = Extent.of(y[:, None], [declared], _units(salt, "target", 1))
        low, high = extent.ranges[0]
        share = (y / 2 - low / 2) / (high / 2 - low / 2) if low < high else np.zeros(len(y))
        return np.asarray(np.rint(share * _FINE), np.int64), None, extent

    def _shape(self, d: int, classes: Any) -> Shape:
        tried = max(1, round(self.features * d))
        highest = _FINE if classes is None else int(len(classes) <= 2)
        return Shape(int(self.depth), int(self.thresholds), tried, int(self.min_leaf), _KEEP, highest)

    def _bare(self, rows: Rows, shape: Shape, classes: Any) -> Trees:
        """Room for all trees that these records can make, with nothing in it."""
        most = int(room(rows.n, 0, shape))
        if self.trees * most >= 2**31:
            raise InvalidParameter(f"{self.trees} trees of up to {most} nodes are too many; lower depth or trees")
        values, dtype = (2, np.int64) if classes is None else (max(2, len(classes)), np.int32)
        hist = dtype if rows.n >= 2**16 or classes is None else np.uint16
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

    def _unlearn(self, learned: Woods, rows: Rows, gone: Positions) -> Woods:
        extent, target_extent = learned.extents_without(rows, gone)
        work = unlearn(learned.trees, learned.data, gone, learned.box, learned.shape)
        learned.codes[gone], learned.target[gone] = 0, 0
        return replace(learned, extent=extent, target_extent=target_extent, work_=Work(*work.tolist()))

    def _fitted(self) -> FittedState:
        """The fitted state. Where an interrupted deletion left trees without records that are held, they are grown anew.

        So trees may be changed in place: a root counts its records, and it is looked at before trees are used.
        """
        state = super()._fitted()
        if state.learned.n_records != state.rows.n:
            self._state = state = replace(state, learned=self._learn(state.rows))
        return state

    def _cost(self, learned: Woods, rows: Rows, gone: Positions) -> float:
        if self._moves(learned, rows, gone):
            return 1.0
        return float(np.sqrt(1.6 * len(gone) / (rows.n - len(gone))))

    def _moves(self, learned: Woods, rows: Rows, gone: Positions) -> bool:
        """Whether a range, or the set of classes, is another one without these records."""
        extent, target_extent = learned.extents_without(rows, gone)
        if not np.array_equal(extent.ranges, learned.extent.ranges):
            return True
        if target_extent is not None and learned.target_extent is not None:
            return not np.array_equal(target_extent.ranges, learned.target_extent.ranges)
        n_classes = len(learned.classes_)
        codes = np.searchsorted(learned.classes_, rows.y[gone])
        root = learned.trees.value_NV[0]
        counts = root if n_classes > 2 else np.array([root[0] - root[1], root[1]])[:n_classes]
        return bool((counts == np.bincount(codes, minlength=n_classes)).any())

    # -- answers -------------------------------------------------------------------------------------------------

    def _shares(self, X: Any) -> NDArray[np.float64]:
        X, learned = self._query(X), self._fitted().learned
        shares: NDArray[np.float64] = ask(
            learned.trees, encode(np.ascontiguousarray(X), learned.extent.ranges), learned.shape
        )
        return shares

    def predict(self, X: Any) -> Any:
        """The class with the highest mean share, or the mean of the leaves' mean targets."""
        if classifies(self):
            likeliest = self.predict_proba(X).argmax(axis=1)
            return self.classes_[likeliest]
        share, (low, high) = self._shares(X)[:, 0], self._fitted().learned.target_extent.ranges[0]
        return low * (1 - share) + high * share

    @available_if(classifies)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Mean over the trees of the share of every class in a row's leaf, in the order of `classes_`."""
        shares = self._shares(X)
        if len(self.classes_) > 2:
            return shares
        return np.hstack([1 - shares, shares])[:, : len(self.classes_)]
