"""Claims of the exact-deletion forest, against fits from nothing, scikit-learn's trees and recounts."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from expunge.core import Route
from expunge.core.errors import AlreadyForgotten, InvalidData, InvalidParameter
from expunge.exact import forest as module
from expunge.exact._forest import kernels
from expunge.exact._forest.grid import CELLS, encode, rounded
from expunge.exact._learner.rows import Rows
from expunge.exact.forest import Forest

SALT = b"a salt for tests"
TASKS = ("binary", "several classes", "regression")
Array = NDArray[Any]


def material(seed: int, task: str, n: int = 250) -> tuple[Array, Array]:
    """Columns with noise, ties, a skew, two values, one value, and one odd record in a column of zeros."""
    rng = np.random.default_rng(seed)
    columns = [rng.normal(size=n), rng.integers(0, 6, n), np.exp(2 * rng.normal(size=n)), rng.random(n) < 0.3]
    X = np.column_stack([*columns, np.full(n, 4.2), np.where(np.arange(n) == seed % n, 9.9, 0.0)]).astype(float)
    signal = X[:, 0] + 0.5 * X[:, 1] - X[:, 3] + 0.5 * rng.normal(size=n)
    if task == "regression":
        return X, signal * 3 - 7
    return X, np.digitize(signal, [1.0] if task == "binary" else [0.0, 1.0, 2.0])


def made(task: str = "binary", **asked: Any) -> Forest:
    given_: dict[str, Any] = {"trees": 4, "depth": 6, "salt": SALT, **asked}
    return Forest(task="regression" if task == "regression" else "classification", **given_)


def learned(forest: Forest) -> Any:
    return forest._fitted().learned


def differs(a: Forest, b: Forest) -> list[str]:
    """Names of what the learned states do not share, bit by bit."""
    x, y = learned(a).packed(), learned(b).packed()
    return [k for k in x.keys() | y.keys() if k not in x or k not in y or x[k].tobytes() != y[k].tobytes()]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_deletions_equals_a_fit_without(task: str, seed: int) -> None:
    X, y = material(seed, task)
    asked = {"min_leaf": 1 + 3 * (seed % 2), "features": (0.3, 0.6, 1.0)[seed % 3], "depth": (4, 9, 20)[seed % 3]}
    forest, left, rng = made(task, **asked).fit(X, y), np.arange(len(X)), np.random.default_rng(seed)
    while len(left) > 12:
        m = int(rng.choice([1, 1, 1, 2, 9, 30, 100]))
        if m >= len(left):
            continue
        gone = rng.choice(left, m, replace=False)
        if rng.random() < 0.3:  # who holds the ends of a column
            gone = np.array([left[X[left, int(rng.integers(3))].argmax()]])
        forest.forget(records=gone.tolist())
        left = np.setdiff1d(left, gone)
        assert differs(forest, made(task, **asked).fit(X[left], y[left])) == []
    assert differs(forest, made(task, **asked).fit(X, y)), "the control: it began as another forest"


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_equals_one_by_one(task: str) -> None:
    X, y = material(3, task)
    gone = np.random.default_rng(0).choice(len(X), 40, replace=False).tolist()
    batch, singly = made(task).fit(X, y), made(task).fit(X, y)
    batch.forget(records=gone)
    for i in gone:
        singly.forget(records=[i])
    assert differs(batch, singly) == []
    assert batch.digest() == singly.digest()


def test_a_subject_leaves_with_all_records() -> None:
    X, y = material(1, "binary")
    names = [f"u{i % 40}" for i in range(len(X))]
    forest = made().fit(X, y, subjects=names)
    assert forest.forget(subjects=["u7", "u11"]).plan.n_removed == 13
    stay = [i for i in range(len(X)) if i % 40 not in (7, 11)]
    assert differs(forest, made().fit(X[stay], y[stay])) == []


# -- mutations: the equality above can fail ---------------------------------------------------------------------------


def deleted_in_python(monkeypatch: pytest.MonkeyPatch, task: str) -> list[str]:
    """What differs from a fresh fit after deletions by the kernel's own Python text."""
    X, y = material(5, task, 120)
    forest = made(task, trees=2).fit(X, y)
    monkeypatch.setattr(module, "unlearn", kernels.unlearn.py_func)  # type: ignore[attr-defined]
    gone = [i for i in range(0, 120, 4) if not forest._moves(learned(forest), forest._fitted().rows, np.array([i]))]
    for i in gone:
        if forest.plan(records=[i]).route is Route.SUBTRACT:
            forest.forget(records=[i])
    left = forest._fitted().rows.positions()
    return differs(forest, made(task, trees=2).fit(X[left], y[left]))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_compiled_and_plain_python_do_the_same(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    assert deleted_in_python(monkeypatch, task) == []


def test_without_rescoring_the_equality_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_before(trees: Any, v: int, *_: Any) -> tuple[int, int, int, bool]:
        return trees.node_NA[v, kernels.SPLIT], trees.node_NA[v, kernels.EDGE], 0, True

    monkeypatch.setattr(kernels, "_rescored", as_before)
    assert "edge" in deleted_in_python(monkeypatch, "binary")


def test_with_the_old_range_the_equality_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = material(2, "binary")
    X[17, 0] = 1000.0
    monkeypatch.setattr(Forest, "_moves", lambda *_: False)
    forest = made().fit(X, y)
    forest.forget(records=[17])
    assert differs(forest, made().fit(np.delete(X, 17, 0), np.delete(y, 17)))


# -- what leaves with the last record that holds it ---------------------------------------------------------------------


def held(forest: Forest, value: float) -> bool:
    return np.float64(value).tobytes() in pickle.dumps(forest)


@pytest.mark.parametrize("value", [0.123456789, 1e5 / 3, -77.7])
def test_the_last_record_with_a_value_leaves_no_threshold_or_range(value: float) -> None:
    """Reference tools keep an adjacent value as threshold, verbatim, once its last record has left."""
    X, y = material(4, "binary")
    X[:, 0] = np.round(X[:, 0])
    X[30, 0] = value
    y[30] = 1 - y[30]
    forest = made().fit(X, y)
    assert held(forest, value), "the control: the search finds it while the record is there"
    forest.forget(records=[30])
    assert not held(forest, value)
    assert differs(forest, made().fit(np.delete(X, 30, 0), np.delete(y, 30))) == []


def test_a_range_that_one_record_held_up_falls_and_the_plan_says_so() -> None:
    X, y = material(2, "binary")
    X[17, 0] = 1000.0
    forest = made().fit(X, y)
    assert forest.plan(records=[17]).route is Route.RETRAIN
    inside = int(np.argsort(X[:, 0])[100])
    assert forest.plan(records=[inside]).route is Route.SUBTRACT
    forest.forget(records=[17])
    assert learned(forest).packed()["ranges"][0].max() < 10
    assert differs(forest, made().fit(np.delete(X, 17, 0), np.delete(y, 17))) == []


def test_a_declared_range_does_not_fall() -> None:
    X, y = material(2, "binary")
    X[17, 0] = 1000.0
    asked: dict[str, Any] = {"ranges": [(-4.0, 4.0), None, (0, 100), (0, 1), None, (0, 10)]}
    forest = made(**asked).fit(X, y)
    assert forest.plan(records=[17]).route is Route.SUBTRACT
    forest.forget(records=[17])
    assert differs(forest, made(**asked).fit(np.delete(X, 17, 0), np.delete(y, 17))) == []


def test_a_target_range_falls_with_its_record_unless_declared() -> None:
    X, y = material(6, "regression")
    y[9] = 5000.0
    for asked, route in (({}, Route.RETRAIN), ({"target_range": (-100.0, 6000.0)}, Route.SUBTRACT)):
        forest = made("regression", **asked).fit(X, y)
        assert forest.plan(records=[9]).route is route
        forest.forget(records=[9])
        assert differs(forest, made("regression", **asked).fit(np.delete(X, 9, 0), np.delete(y, 9))) == []
        assert not held(forest, 5000.0)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_a_class_vanishes_with_its_last_record(classes: int) -> None:
    X, y = material(7, "binary")
    names = np.array(["b", "c", "d"])[: classes - 1]
    y = names[np.arange(len(y)) % len(names)].astype(object)
    y[[5, 6]] = "a-secret-class"
    forest = made().fit(X, y)
    forest.forget(records=[5])
    assert "a-secret-class" in forest.classes_
    forest.forget(records=[6])
    assert forest.classes_.tolist() == sorted(names)
    assert forest.predict_proba(X).shape == (len(X), classes - 1)
    assert b"a-secret-class" not in pickle.dumps(forest)
    assert differs(forest, made().fit(np.delete(X, [5, 6], 0), np.delete(y, [5, 6]))) == []


def test_a_column_that_becomes_constant_is_split_no_more() -> None:
    X, y = material(8, "regression")
    y += 50 * (X[:, 5] > 0)  # of one record alone, which its column tells apart
    asked: dict[str, Any] = {"features": 1.0, "ranges": [None] * 5 + [(0.0, 10.0)], "target_range": (-100.0, 100.0)}
    forest = made("regression", **asked).fit(X, y)
    assert (learned(forest).packed()["feature"] == 5).sum() == forest.trees
    assert forest.forget(records=[8]).plan.route is Route.SUBTRACT
    assert not (learned(forest).packed()["feature"] == 5).any()
    assert differs(forest, made("regression", **asked).fit(np.delete(X, 8, 0), np.delete(y, 8))) == []


# -- the edges of shape and request -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", [{"depth": 1}, {"min_leaf": 100}, {"min_leaf": 125}, {"thresholds": 1}, {"depth": 60}]
)
@pytest.mark.parametrize("task", TASKS)
def test_shapes_at_their_limits(task: str, asked: dict[str, int]) -> None:
    X, y = material(9, task)
    forest = made(task, **asked).fit(X, y)
    for gone in ([0], [1, 2, 3], list(range(10, 90))):
        forest.forget(records=gone)
    left = forest._fitted().rows.positions()
    assert differs(forest, made(task, **asked).fit(X[left], y[left])) == []


def test_down_to_one_record() -> None:
    X, y = material(10, "several classes", 40)
    forest = made("several classes").fit(X, y)
    for i in range(39):
        forest.forget(records=[i])
    assert differs(forest, made().fit(X[39:], y[39:])) == []
    assert forest.predict(X).tolist() == [y[39]] * 40


def test_a_deletion_interrupted_in_the_trees_leaves_the_old_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = material(11, "binary")
    model = made().fit(X, y)
    before, answers, real = model.digest(), model.predict_proba(X), module.unlearn

    def interrupted(*arguments: Any) -> None:
        real(*arguments)  # in place
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "unlearn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.forget(records=[3])
    assert (model.predict_proba(X) == answers).all()
    assert model.digest() == before
    model.forget(records=[3])
    assert differs(model, made().fit(np.delete(X, 3, 0), np.delete(y, 3))) == []


def test_a_deletion_interrupted_in_the_rows_is_finished_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = material(11, "binary")
    model = made().fit(X, y)
    with monkeypatch.context() as patch:
        patch.setattr(Rows, "wipe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            model.forget(records=[3])
    with pytest.raises(AlreadyForgotten):
        model.forget(records=[3])
    assert differs(model, made().fit(np.delete(X, 3, 0), np.delete(y, 3))) == []


@pytest.mark.parametrize(
    "asked",
    [
        *({"task": "ranking"}, {"trees": 0}, {"depth": 61}, {"depth": 2.5}, {"features": 0.0}, {"features": 1.5}),
        *({"thresholds": 0}, {"min_leaf": 0}, {"ranges": [(0, 1)]}, {"ranges": (3, 1)}, {"ranges": "wide"}),
    ],
)
def test_parameters_outside_their_ranges_are_refused(asked: dict[str, Any]) -> None:
    X, y = material(0, "binary", 20)
    with pytest.raises(InvalidParameter):
        Forest(**{"trees": 1, "salt": SALT, **asked}).fit(X, y)


def test_targets_outside_a_declared_range_are_refused() -> None:
    X, y = material(0, "regression", 20)
    with pytest.raises(InvalidData, match="target_range"):
        made("regression", target_range=(0.0, 1.0)).fit(X, y)


# -- growth and categories --------------------------------------------------------------------------------------------


def table_of(seed: int, task: str, n: int = 250) -> tuple[Array, Array]:
    """`material`, with a column of common and rare categories and one in which some are a record's own."""
    X, y = material(seed, task, n)
    rng = np.random.default_rng([seed, 1])
    C = np.empty((n, 2), dtype=object)
    C[:, 0] = rng.choice(["a", "b", "c", "d", 5, None], n, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    C[:, 1] = [f"own {i}" if i % 40 == 0 else f"one of {i % 3}" for i in range(n)]
    y = y + 2 * (C[:, 0] == "b") if task == "regression" else np.where(C[:, 0] == "b", y.max() - y, y)
    return np.hstack([X.astype(object), C]), y


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_deletions_and_additions_equals_a_fit(task: str, seed: int) -> None:
    X, y = table_of(seed, task)
    asked: dict[str, Any] = {
        "min_leaf": 1 + 2 * (seed % 3),
        "thresholds": (1, 4, 10)[seed % 3],
        "depth": (4, 9, 20)[seed % 3],
    }
    asked |= {"categorical_features": [-2, -1]} if seed % 2 else {}
    X = X if seed % 2 else X[:, :-2].astype(float)
    rng, ids = np.random.default_rng(seed), np.array([str(i) for i in range(len(X))])
    order = rng.permutation(len(X))
    held, rest, added = order[:150], order[150:], 0
    forest = made(task, **asked).fit(X[held], y[held], records=ids[held])
    for size in (1, 3, 1, 40, 2):
        new, rest = rest[:size], rest[size:]
        forest.add(X[new], y[new], records=ids[new])
        added += learned(forest).work_ is not None
        held = np.append(held, new)
        gone = rng.choice(held, size, replace=False)
        forest.forget(records=ids[gone])
        held = held[~np.isin(held, gone)]
        assert differs(forest, made(task, **asked).fit(X[held], y[held], records=ids[held])) == []
    assert added >= 2, "most of these additions widen no range"


@pytest.mark.parametrize("task", TASKS)
def test_a_category_leaves_with_its_last_record_and_its_code_decides_nothing(task: str) -> None:
    X, y = table_of(3, task)
    rare = np.flatnonzero([value == 5 for value in X[:, -2]])
    stay = np.setdiff1d(np.arange(len(X)), rare)
    forest = made(task, categorical_features=[-2, -1]).fit(X, y)
    forest.forget(records=rare.tolist())
    fresh = made(task, categorical_features=[-2, -1]).fit(X[stay], y[stay])
    assert forest.digest() == fresh.digest()
    never = X[:20].copy()
    never[:, -2] = "a category that nobody has"
    assert np.array_equal(forest.predict(never), fresh.predict(never))


def test_growing_compiled_and_in_plain_python_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table_of(5, "binary", 120)
    forest = made(trees=2, categorical_features=[-2, -1], ranges=(-99.0, 99.0)).fit(X[:90], y[:90])
    forest.forget(records=list(range(0, 90, 7)))
    monkeypatch.setattr(module, "extend", kernels.extend.py_func)  # type: ignore[attr-defined]
    with np.errstate(over="ignore"):
        forest.add(X[90:], y[90:])
    held = [i for i in range(120) if i >= 90 or i % 7]
    fresh = made(trees=2, categorical_features=[-2, -1], ranges=(-99.0, 99.0)).fit(X[held], y[held])
    assert learned(forest).work_.visited > 0
    assert differs(forest, fresh) == []


def test_an_addition_that_widens_no_range_looks_at_few_records() -> None:
    X, y = material(3, "binary", 2000)
    forest = made(trees=10, depth=10).fit(X, y)
    forest.add(X[:1], y[:1])
    assert learned(forest).work_.looked_at < 10 * 2000


def test_an_addition_interrupted_in_the_trees_leaves_the_old_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = material(11, "binary")
    model = made().fit(X[:249], y[:249])
    before, answers, real = model.digest(), model.predict_proba(X), module.extend

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "extend", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.add(X[5:6], y[5:6])
    assert model.digest() == before
    assert (model.predict_proba(X) == answers).all()
    model.forget(records=[3])
    assert differs(model, made().fit(np.delete(X[:249], 3, 0), np.delete(y[:249], 3))) == []


def test_columns_of_categories_by_place_name_or_mask_are_the_same() -> None:
    X, y = table_of(4, "binary")
    names = [f"c{j}" for j in range(8)]
    frame = pd.DataFrame(X, columns=names).astype(dict.fromkeys(names[:6], float))
    frame["c7"] = frame["c7"].astype("category")
    by_place = made(categorical_features=[6, 7]).fit(X, y)
    for given_, rows in (
        ([-1, -2], X),
        ([False] * 6 + [True] * 2, X),
        (["c7", "c6"], frame),
        (np.array([6, 7]), frame),
    ):
        other = made(categorical_features=given_).fit(rows, y)
        assert differs(by_place, other) == []
        assert np.array_equal(other.predict_proba(rows), by_place.predict_proba(X))


def test_a_forest_with_named_categories_is_saved_grows_and_forgets(tmp_path: Any) -> None:
    X, y = table_of(4, "binary")
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(8)])
    forest = made(categorical_features=["c6", "c7"], ranges=(-99.0, 99.0)).fit(frame[:200], y[:200])
    assert forest._fitted().recipe.canary is not None
    forest.save(tmp_path)
    loaded = Forest.load(tmp_path, salt=SALT).add(frame[200:], y[200:])
    loaded.forget(records=[7])
    fresh = made(categorical_features=["c6", "c7"], ranges=(-99.0, 99.0)).fit(frame.drop(7), np.delete(y, 7))
    assert loaded.digest() == fresh.digest()
    saved = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"own 40" not in saved, "a category is held by its hash"


def test_categories_rank_at_least_as_well_as_columns_of_ones() -> None:
    rng = np.random.default_rng(0)
    C = rng.choice(np.array([f"town {k}" for k in range(30)], dtype=object), (4000, 2))
    effect = dict(zip(np.unique(C), rng.normal(size=30), strict=True))
    logit = np.vectorize(effect.get)(C[:, 0]) * np.vectorize(effect.get)(C[:, 1]) * 2
    y = rng.random(4000) < 1 / (1 + np.exp(-logit))
    ones = OneHotEncoder(sparse_output=False).fit_transform(C)
    scores = [
        roc_auc_score(
            y[3000:],
            Forest(trees=40, min_leaf=3, salt=SALT, **asked).fit(X[:3000], y[:3000]).predict_proba(X[3000:])[:, 1],
        )
        for X, asked in ((C, {"categorical_features": [0, 1]}), (ones, {}))
    ]
    assert scores[0] > scores[1] - 0.01, scores
    assert scores[0] > 0.7


@pytest.mark.parametrize(
    ("given_", "said"),
    [([8], "n_features=8"), (["colour"], "no columns"), ([True, False], "n_features=8"), ([1.5], "n_features=8")],
)
def test_columns_of_categories_that_are_none_are_refused(given_: Any, said: str) -> None:
    X, y = table_of(4, "binary", 40)
    with pytest.raises(InvalidParameter, match=said):
        made(categorical_features=given_).fit(X, y)
    with pytest.raises(InvalidData, match="could not convert"):
        made(categorical_features=[6]).fit(X, y)
    X[3, 7] = object()
    with pytest.raises(InvalidData, match="a category"):
        made(categorical_features=[6, 7]).fit(X, y)


def test_a_forest_without_categories_is_described_as_ever() -> None:
    X, y = material(0, "binary", 40)
    assert "categorical_features" not in made().fit(X, y).state()["parameters"]
    assert made(categorical_features=[1]).fit(X, y).state()["parameters"]["categorical_features"] == [1]


# -- statistics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("columns", [None, [1, 3]])
def test_kept_statistics_are_those_of_a_recount(task: str, columns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEEP", 8)
    X, y = material(12, task, 400)
    forest = made(task, categorical_features=columns).fit(X, y)
    assert recounted(forest) > 20
    for gone in ([5], [6, 7], list(range(50, 120))):
        if forest.plan(records=gone).route is Route.SUBTRACT:
            forest.forget(records=gone)
        forest.add(X[gone], y[gone])
        assert learned(forest).work_.visited
        assert recounted(forest) > 20
    root = learned(forest).trees.node_NA[0, kernels.SLOT]
    learned(forest).trees.hist[root, 0, 0, 0] += 1
    with pytest.raises(AssertionError):  # the control: one record too many is seen
        recounted(forest)


def recounted(forest: Forest) -> int:
    """How many nodes keep statistics, all equal to a recount of the records that reach them."""
    woods = learned(forest)
    trees, shape, box = woods.trees, woods.shape, woods.box
    work = kernels._workspace(trees, shape)
    per_tree, found = len(trees.node_NA) // forest.trees, 0

    def walk(v: int, depth: int, seed: Any, box: Array, members: Array) -> int:
        node, found = trees.node_NA[v], 0
        if node[kernels.SLOT] >= 0:
            kernels._draw(seed, box, shape, work[0])
            kernels._count(seed, members, work[0], woods.data, shape, work[1], work[2])
            np.testing.assert_array_equal(trees.hist[node[kernels.SLOT]], work[2])
            found = 1
        if node[kernels.SPLIT] >= 0:
            f, edge = node[kernels.SPLIT], node[kernels.EDGE]
            left, low, high = woods.codes[members, f] <= edge, box.copy(), box.copy()
            if edge < 0:
                deal = np.uint64(kernels._deal(seed, f))
                groups = [kernels._group(deal, code, shape.groups) for code in woods.codes[members, f]]
                left = (~edge >> np.array(groups, dtype=np.int64)) & 1 == 1
            else:
                low[f, 1], high[f, 0] = edge, edge + 1
            found += walk(v + 1, depth + 1, np.uint64(kernels._child_seed(seed, 0)), low, members[left])
            found += walk(node[kernels.RIGHT], depth + 1, np.uint64(kernels._child_seed(seed, 1)), high, members[~left])
        return found

    for t in range(forest.trees):
        found += walk(t * per_tree, 0, trees.seed_T[t], box, forest._fitted().rows.positions().astype(np.int32))
    return found


def test_statistics_come_back_after_loading(tmp_path: Any) -> None:
    X, y = material(13, "binary", 400)
    forest = made(trees=2).fit(X, y)
    forest.save(tmp_path)
    loaded = Forest.load(tmp_path, salt=SALT)
    assert (learned(loaded).trees.node_NA[:, kernels.SLOT] < 0).all()
    loaded.forget(records=[100])
    forest.forget(records=[100])
    assert loaded.digest() == forest.digest()
    assert recounted(loaded) >= 2


# -- against scikit-learn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["binary", "several classes", "regression"])
def test_a_stump_over_every_threshold_is_scikit_learns(task: str) -> None:
    X, y = material(14, task, 300)
    X = X[:, [1, 3]]  # whole numbers: between any two of them lies a candidate
    forest = made(task, trees=1, depth=1, features=1.0, thresholds=512).fit(X, y)
    if task == "regression":
        stump = DecisionTreeRegressor(max_depth=1).fit(X, y)
        np.testing.assert_allclose(forest.predict(X), stump.predict(X), atol=1e-6)  # targets: 2^-30 of their range
    else:
        stump = DecisionTreeClassifier(max_depth=1).fit(X, y)
        np.testing.assert_allclose(forest.predict_proba(X), stump.predict_proba(X), atol=1e-12)


def test_ranks_as_well_as_a_random_forest() -> None:
    X, y = make_classification(3000, 12, n_informative=6, random_state=0)
    asked = {"trees": 30, "depth": 8}
    ours = Forest(**asked, salt=SALT).fit(X[:2000], y[:2000])
    theirs = RandomForestClassifier(30, max_depth=8, random_state=0).fit(X[:2000], y[:2000])
    a, b = (roc_auc_score(y[2000:], m.predict_proba(X[2000:])[:, 1]) for m in (ours, theirs))
    assert a > b - 0.01  # the spread of either over seeds is about .003


def test_predicts_numbers_as_well_as_a_random_forest() -> None:
    X, y = make_friedman1(3000, random_state=0)
    ours = Forest(task="regression", trees=30, depth=8, salt=SALT).fit(X[:2000], y[:2000])
    theirs = RandomForestRegressor(30, max_depth=8, max_features=0.6, random_state=0).fit(X[:2000], y[:2000])
    assert ours.score(X[2000:], y[2000:]) > theirs.score(X[2000:], y[2000:]) - 0.02


# -- randomness and the grid ------------------------------------------------------------------------------------------------


def test_the_salt_decides_every_draw() -> None:
    X, y = material(15, "binary")
    assert differs(made().fit(X, y), made().fit(X, y)) == []
    assert "edge" in differs(made().fit(X, y), made(salt=b"another").fit(X, y))
    order = np.random.default_rng(0).permutation(len(X))
    assert differs(made().fit(X, y), made().fit(X[order], y[order])) == [], "the order of records decides nothing"


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers, st.floats(1, 2, exclude_max=True))
def test_a_rounded_range_holds_its_values(a: float, b: float, unit: float) -> None:
    low, high = min(a, b), max(a, b)
    (found,) = rounded([low], [high], [unit]).tolist()
    assert found[0] <= low <= high <= found[1]
    assert found[1] / 2 - found[0] / 2 <= (high / 2 - low / 2) * 1.5


@settings(max_examples=50)
@given(st.lists(numbers, min_size=2, max_size=20), numbers, numbers)
def test_codes_keep_the_order_of_values(values: list[float], a: float, b: float) -> None:
    codes = encode(np.sort(values)[:, None], np.array([[min(a, b), max(a, b)]]))[:, 0].astype(int)
    assert (np.diff(codes) >= 0).all()
    assert codes.min() >= 0
    assert codes.max() < CELLS


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_place(**asked: Any) -> Any:
        if asked.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels, "njit", no_place)
    assert kernels.compiled(abs)(-3) == 3
