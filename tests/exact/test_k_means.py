import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans as Reference

from expunge.core import Route
from expunge.core.errors import InvalidData, InvalidParameter, NothingLeft
from expunge.exact import KMeans
from expunge.exact._k_means.kernel import _seeds, lloyd, nearest

SALT = b"salt"
NARROW = {"n_clusters": 4, "widths": (40, 5), "salt": SALT}  # about 75 records a leaf


def data(n: int = 3000, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(4, 3)) * 4)[rng.integers(4, size=n)] + rng.normal(size=(n, 3))


def everything(model: KMeans, folder: Path) -> bytes:
    model.save(folder)
    return pickle.dumps(model) + b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("named", ["nothing", "records", "subjects"])
def test_after_hundred_deletions_the_bits_are_those_of_a_fit_without(named: str) -> None:
    X = data()
    names = [f"r{i // 3 if named == 'subjects' else i}" for i in range(len(X))]
    given = {} if named == "nothing" else {named: names}
    model = KMeans(**NARROW).fit(X, **given)
    gone = np.random.default_rng(1).permutation(len(X) // 3)[:100]
    for i in gone.tolist():
        request: dict[str, Any] = {named: [f"r{i}"]} if given else {"records": [i]}
        assert model.forget(**request).plan.route is Route.REBUILD
    stay = ~np.isin(np.arange(len(X)) // (3 if named == "subjects" else 1), gone)
    rest = {what: [n for n, s in zip(names, stay, strict=True) if s] for what in given}
    fresh = KMeans(**NARROW).fit(X[stay], **rest)
    assert model.digest() == fresh.digest()
    assert model.digest() != KMeans(**NARROW).fit(X, **given).digest(), "the control"


def test_another_salt_is_another_tree() -> None:
    X = data()
    other = KMeans(**{**NARROW, "salt": b"other"}).fit(X)
    assert (other.cluster_centers_ != KMeans(**NARROW).fit(X).cluster_centers_).any()


def test_a_deletion_touches_one_path() -> None:
    model = KMeans(**NARROW).fit(data())
    before = model._fitted().learned.tree
    assert model.plan(records=[5]).cost < 0.5
    model.forget(records=[5])
    for level in range(2):
        pairs = zip(before.points[level], model._fitted().learned.tree.points[level], strict=True)
        assert sum(a is not b for a, b in pairs) == 1


def test_a_deletion_that_is_cut_short_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = KMeans(**NARROW).fit(data())
    before, calls = model.digest(), []

    def cut_short(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return lloyd(*given)

    monkeypatch.setattr("expunge.exact._k_means.tree.lloyd", cut_short)
    with pytest.raises(KeyboardInterrupt):
        model.forget(records=[5])
    monkeypatch.undo()
    assert model.digest() == before
    model.forget(records=[5])
    assert model.digest() == KMeans(**NARROW).fit(np.delete(data(), 5, axis=0)).digest()


def test_the_leaf_of_a_record_does_not_depend_on_others() -> None:
    X = data()
    whole, part = KMeans(**NARROW).fit(X), KMeans(**NARROW).fit(X[1000:])
    assert (whole._fitted().learned.tree.leaf_of[1000:] == part._fitted().learned.tree.leaf_of).all()
    assert len(np.unique(part._fitted().learned.tree.leaf_of)) == 40


def test_a_subject_is_in_one_leaf() -> None:
    subjects = [f"u{i % 300}" for i in range(3000)]
    leaf = KMeans(**NARROW).fit(data(), subjects=subjects)._fitted().learned.tree.leaf_of
    assert all(len(set(leaf[u::300].tolist())) == 1 for u in range(300))


def test_deleted_rows_are_no_phantoms_at_zero() -> None:
    """Rows that are overwritten must not be clustered by the fits that follow, on either route."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) + 55
    model = KMeans(n_clusters=2, widths=(8, 2), salt=SALT).fit(X)
    first = model.forget(records=[0])
    many = model.forget(records=list(range(1, 200)))
    assert {first.plan.route, many.plan.route} == {Route.REBUILD, Route.RETRAIN}
    model.forget(records=[200])
    assert model.cluster_centers_.min() > 50
    phantom = np.where(np.arange(400)[:, np.newaxis] < 201, 0, X)
    assert KMeans(n_clusters=2, widths=(8, 2), salt=SALT).fit(phantom).cluster_centers_.min() < 1, "the control"


@pytest.mark.parametrize("widths", [(40, 5), (1024, 32)])
def test_a_deleted_value_is_nowhere(tmp_path: Path, widths: tuple[int, int]) -> None:
    X = data()
    model = KMeans(n_clusters=4, widths=widths, salt=SALT).fit(X)  # (1024, 32): leaves pass records on as they are
    assert all(value.tobytes() in everything(model, tmp_path / "m") for value in X[:20].ravel()), "the control"
    for i in range(20):
        model.forget(records=[i])
    held = everything(model, tmp_path / "m")
    assert not any(value.tobytes() in held for value in X[:20].ravel())
    loaded = KMeans.load(tmp_path / "m", salt=SALT)
    loaded.forget(records=[20])
    held = everything(loaded, tmp_path / "m")
    assert not any(value.tobytes() in held for value in X[20])


@pytest.mark.parametrize("clusters", [8, 20, 0])
def test_inertia_is_near_that_of_scikit_learn_with_and_without_clusters(clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    X = rng.random((20_000, 6))
    if clusters:
        X = (rng.normal(size=(clusters, 6)) * 2)[rng.integers(clusters, size=20_000)] + rng.normal(size=X.shape)
    model = KMeans(n_clusters=8, widths=(64, 8), salt=SALT).fit(X)
    reference = Reference(8, n_init=10, random_state=0).fit(X)
    assert model.inertia_ <= 1.06 * reference.inertia_
    distance = ((X[:, np.newaxis] - model.cluster_centers_) ** 2).sum(axis=2)
    assert model.inertia_ == pytest.approx(distance.min(axis=1).sum())


def test_a_small_table_is_clustered_at_once() -> None:
    X = data(80)
    model = KMeans(n_clusters=4, salt=SALT).fit(X)
    assert sum(len(points) for points in model._fitted().learned.tree.points[-1]) == 80, (
        "every record reached the root as it is"
    )
    assert model.inertia_ <= 1.001 * Reference(4, n_init=10, random_state=0).fit(X).inertia_


def test_labels_are_those_of_the_records_that_stay() -> None:
    X = data()
    model = KMeans(**NARROW).fit(X)
    model.forget(records=[0, 10, 2999])
    assert (model.labels_ == model.predict(np.delete(X, [0, 10, 2999], axis=0))).all()
    assert (KMeans(**NARROW).fit_predict(X) == KMeans(**NARROW).fit(X).labels_).all()


def test_nearest_is_the_first_of_the_nearest_centers() -> None:
    rng = np.random.default_rng(0)
    P, C = np.round(rng.normal(size=(700, 4))), np.round(rng.normal(size=(9, 4)))  # ties
    label, far = nearest(P, C)
    distance = ((P[:, np.newaxis] - C) ** 2).sum(axis=2)
    assert (label == distance.argmin(axis=1)).all()
    assert (far == distance.min(axis=1)).all()


def test_a_point_of_weight_three_counts_as_three_points() -> None:
    rng = np.random.default_rng(0)
    P, w = rng.normal(size=(300, 2)), rng.integers(1, 4, 300).astype(float)
    weighted = lloyd(P, w, 3, 1, 100, 0.0)
    means = np.array([np.average(P[label], axis=0, weights=w[label]) for label in _members(P, weighted[0])])
    np.testing.assert_allclose(weighted[0], means)
    assert weighted[1].sum() == w.sum()


def _members(P: Any, C: Any) -> list[Any]:
    return [np.flatnonzero(nearest(P, C)[0] == c) for c in range(len(C))]


def test_fewer_distinct_records_than_clusters_repeat_a_center() -> None:
    model = KMeans(n_clusters=3, salt=SALT).fit([[1.0], [1.0], [2.0], [2.0]])
    assert sorted(set(model.cluster_centers_.ravel().tolist())) == [1.0, 2.0]
    assert model.cluster_centers_.shape == (3, 1)
    assert model.inertia_ == 0


def test_fewer_records_than_clusters_are_refused() -> None:
    with pytest.raises(InvalidData, match="n_samples=3"):
        KMeans(n_clusters=4).fit(np.eye(3))
    model = KMeans(n_clusters=3, salt=SALT).fit(np.eye(4))
    with pytest.raises(NothingLeft, match="fewer clusters"):
        model.forget(records=[0, 1])
    model.forget(records=[0])


@pytest.mark.parametrize("settings", [{"n_clusters": 0}, {"widths": ()}, {"widths": (4, 0)}, {"n_init": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        KMeans(**settings).fit(data(100))


@pytest.mark.parametrize(
    "wrong", [{"widths": (2, 7)}, {"widths": 4}, {"widths": (4.5, 2)}, {"widths": ()}, {"n_clusters": 2.5}]
)
def test_numbers_of_nodes_or_clusters_that_make_no_tree_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        KMeans(**{"n_clusters": 2, **wrong}).fit(np.arange(20.0).reshape(10, 2))


def test_distances_that_add_up_to_infinity_still_pick_records_as_seeds() -> None:
    columns = np.full((8, 10), 2.0**500)
    columns[:, ::2] *= -1
    weights = np.full(10, 2.0**30)  # as many records as that
    places, _ = _seeds(columns, weights, 3, np.uint64(1))
    assert set(places.tolist()) <= set(range(10))
