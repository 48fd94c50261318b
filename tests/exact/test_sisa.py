"""Sisa against fits without the records, closed forms, scikit-learn, and the faults of other implementations."""

import io
import json
import pickle
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.naive_bayes import MultinomialNB as ScikitMultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from expunge.core import Route
from expunge.core.errors import (
    DigestMismatch,
    InvalidData,
    InvalidParameter,
    RecipeMismatch,
    UnreadableModel,
    UnsafeWeights,
)
from expunge.engine import digest_value
from expunge.exact import Sisa, TorchTraining
from expunge.exact._sisa.fixed import FixedUnit
from expunge.exact._sisa.sklearn import loads

SALT = b"a salt for tests"
LOG = SGDClassifier(loss="log_loss")


def sisa(estimator: Any = LOG, **settings: Any) -> Any:
    return Sisa(estimator, **{"shards": 6, "workers": 1, "salt": SALT, **settings})


def table(n: int = 300, seed: int = 0) -> tuple[Any, Any, list[str]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, (X[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int), [f"u{i % 90}" for i in range(n)]


def without(gone: set[str], X: Any, y: Any, subjects: list[str]) -> tuple[Any, Any, list[str]]:
    keep = [i for i, s in enumerate(subjects) if s not in gone]
    return X[keep], y[keep], [subjects[i] for i in keep]


def fitted(model: Any, X: Any, y: Any, subjects: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, subjects=subjects)


# -- deletion equals a fit without ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: sisa(LogisticRegression()),
        lambda: sisa(LOG, slices=4, epochs=6),
        lambda: sisa(MLPClassifier((5,)), slices=3, epochs=3),
        lambda: sisa(GaussianNB(), slices=3, epochs=2),
        lambda: sisa(make_pipeline(StandardScaler(), LOG), slices=3, epochs=3),
        lambda: sisa(RandomForestClassifier(3)),
        lambda: sisa(DecisionTreeClassifier(max_features=2), vote="vote"),
        lambda: sisa(HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3)),
        lambda: sisa(KNeighborsClassifier()),
    ],
    ids=["logistic", "sgd", "mlp", "bayes", "pipeline", "forest", "tree", "boosting", "neighbours"],
)
def test_rebuilding_a_few_units_equals_a_fit_without(make: Any) -> None:
    X, y, subjects = table()
    model = fitted(make(), X, y, subjects)
    before = {u.id: u.digest for u in model.units()}
    deletion = model.forget(subjects=["u5"])
    assert deletion.plan.route is Route.REBUILD
    fresh = fitted(make(), *without({"u5"}, X, y, subjects))
    assert model.digest() == fresh.digest()
    changed = {u.id for u in model.units() if before[u.id] != u.digest}
    assert changed == {u.id for u in deletion.plan.units}, "and no other unit was touched"
    assert (model.predict_proba(X[:9]) == fresh.predict_proba(X[:9])).all()


def test_the_same_records_in_another_order_give_the_same_units() -> None:
    X, y, subjects = table()
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = sisa(slices=2, epochs=2).fit(X[order], y[order], subjects=[subjects[i] for i in order])
    assert shuffled.units() == sisa(slices=2, epochs=2).fit(X, y, subjects=subjects).units()


def test_without_subjects_a_record_is_placed_by_its_id_and_else_by_its_content() -> None:
    X, y, _ = table()
    keep = np.arange(300) != 7
    for ids in (None, [f"r{i}" for i in range(300)]):
        model = sisa().fit(X, y, records=ids)
        model.forget(records=[7 if ids is None else "r7"])
        fresh = sisa().fit(X[keep], y[keep], records=None if ids is None else [r for r in ids if r != "r7"])
        assert model.digest() == fresh.digest()


def test_another_salt_is_another_model() -> None:
    X, y, subjects = table()
    assert sisa().fit(X, y, subjects=subjects).units() != sisa(salt=b"other").fit(X, y, subjects=subjects).units()


def test_a_record_about_two_people_lives_in_one_unit_and_leaves_with_either() -> None:
    X, y, subjects = table()
    shared = [("u1", "u2") if i == 1 else s for i, s in enumerate(subjects)]
    for name in ("u1", "u2"):
        model = sisa().fit(X, y, subjects=shared)
        (unit, _), *_ = model.members([1])
        assert unit in {u.id for u in model.plan(subjects=[name]).units}
        model.forget(subjects=[name])
        keep = [i for i, s in enumerate(shared) if name not in (s if isinstance(s, tuple) else (s,))]
        assert model.digest() == sisa().fit(X[keep], y[keep], subjects=[shared[i] for i in keep]).digest()


def test_words_texts_sparse_rows_and_data_frames() -> None:
    import pandas as pd
    from scipy import sparse

    X, y, subjects = table(120)
    words = np.array([["red" if v > 0 else "blue", "long-word" * (i == 3)] for i, v in enumerate(X[:, 0])])
    frame = pd.DataFrame({"word": words[:, 0], "number": X[:, 1]})
    by_name = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["word"]), (StandardScaler(), ["number"])
    )
    texts = [" ".join(row) for row in words.tolist()]
    for estimator, rows, take in [
        (make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), words, lambda r, k: r[k]),
        (make_pipeline(by_name, LogisticRegression()), frame, lambda r, k: r.iloc[k]),
        (make_pipeline(CountVectorizer(), LogisticRegression()), texts, lambda r, k: [r[i] for i in k]),
        (LogisticRegression(), sparse.csr_matrix(X), lambda r, k: r[k]),
    ]:
        model = sisa(estimator, shards=3).fit(rows, y, subjects=subjects)
        model.forget(records=[3])
        keep = [i for i in range(120) if i != 3]
        fresh = sisa(estimator, shards=3).fit(take(rows, keep), y[keep], subjects=[subjects[i] for i in keep])
        assert model.digest() == fresh.digest()
        assert model.score(rows, y) > 0.5
        assert b"long-word" not in pickle.dumps(model)


# -- the faults of other implementations (reference §3.1, §3.2) --------------------------------------------------------


def test_the_tail_of_a_shard_is_covered_a_deleted_last_record_is_never_served() -> None:
    """§3.1: the hash of the last slice left out the remainder, so the old checkpoint was taken for the new one."""
    X, y, _ = table(103)
    ids = list(range(103))
    model = sisa(shards=1, slices=5, epochs=5).fit(X, y, records=ids)
    last = [i for i in ids if model.members([i])[0][1] == 5]
    for record in last:
        again = sisa(shards=1, slices=5, epochs=5).fit(X, y, records=ids)
        before = again.units()[0].digest
        again.forget(records=[record])
        assert again.units()[0].digest != before
    assert len(last) > 5


def test_finished_stages_are_found_by_content_not_by_number(tmp_path: Path) -> None:
    """§3.1: the hash ignored contents, seed and settings."""
    X, y, subjects = table(60)
    settings = {"shards": 2, "slices": 2, "epochs": 3}
    sisa(**settings).fit(X, y, subjects=subjects, work=tmp_path)
    kept = set(tmp_path.iterdir())
    assert len(kept) == 4
    changed = X.copy()
    changed[0, 0] += 1e-9
    for other, data in [
        (sisa(**settings), changed),
        (sisa(**{**settings, "epochs": 4}), X),
        (sisa(SGDClassifier(loss="log_loss", alpha=1e-3), **settings), X),
        (sisa(**{**settings, "salt": b"other"}), X),
    ]:
        with_work = other.fit(data, y, subjects=subjects, work=tmp_path).digest()
        assert with_work == other.fit(data, y, subjects=subjects).digest()
        assert set(tmp_path.iterdir()) > kept, "the control: it found no file of the other fit to go on from"
        kept = set(tmp_path.iterdir())


def moved(X: Any, by: int = 1) -> Any:
    return X + by


def test_an_estimator_with_a_function_of_ones_own_opens_with_that_function_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, subjects = table(60)
    make = lambda: sisa(make_pipeline(FunctionTransformer(moved), LogisticRegression()), shards=2)
    model = make().fit(X, y, subjects=subjects)
    model.save(tmp_path)
    loaded = Sisa.load(tmp_path, salt=SALT, estimator=make().estimator)
    loaded.forget(subjects=["u5"])
    rest = without({"u5"}, X, y, subjects)
    assert loaded.digest() == make().fit(*rest[:2], subjects=rest[2]).digest()
    for other in ("def moved(X, by=2): return X + by", "def moved(X, *, by=1): return X + by"):
        place: dict[str, Any] = {"__name__": __name__}
        exec(other, place)  # noqa: S102 - the same function, as it may read another day
        monkeypatch.setitem(globals(), "moved", place["moved"])
        with pytest.raises(DigestMismatch, match=r"not the one that was trained.*by an earlier version.*fit it again"):
            Sisa.load(tmp_path, salt=SALT, estimator=make().estimator)


def _key(stage: Path) -> str:
    """What a file of a stage is found by, without the digest of its bytes, which hold the time of writing."""
    return stage.name.split(".")[0]


def test_an_interrupted_fit_goes_on_from_finished_stages(tmp_path: Path) -> None:
    X, y, subjects = table(60)
    make = lambda: sisa(shards=2, slices=2, epochs=3)
    whole = make().fit(X, y, subjects=subjects, work=tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    lost = sorted(times)[0]
    lost.unlink()
    damaged = sorted(times)[1]
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = make().fit(X, y, subjects=subjects, work=tmp_path)
    assert again.digest() == whole.digest()
    rewritten = {_key(p) for p in tmp_path.iterdir() if p.stat().st_mtime_ns != times.get(p)}
    assert rewritten == {_key(lost), _key(damaged)}


def test_a_stage_of_which_any_bit_flipped_is_trained_again(tmp_path: Path) -> None:
    """Many would still load, as another model: skops writes numbers without a checksum of what holds them."""
    X, y, subjects = table(60)
    make = lambda: sisa(shards=1, slices=2, epochs=2)
    expected = make().fit(X, y, subjects=subjects, work=tmp_path).digest()
    for stage in range(2):
        whole = sorted(tmp_path.iterdir())[stage].read_bytes()
        for i in range(stage, len(whole), 397):
            path = sorted(tmp_path.iterdir())[stage]
            data = path.read_bytes()
            place = min(i, len(data) - 1)
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert make().fit(X, y, subjects=subjects, work=tmp_path).digest() == expected, place


def test_checkpoints_that_saw_deleted_data_are_destroyed_and_listed(tmp_path: Path) -> None:
    """§3.1: old checkpoints stayed on disk for ever."""
    X, y, subjects = table()
    make = lambda: sisa(slices=3, epochs=3)
    work, home = tmp_path / "work", tmp_path / "model"
    model = make().fit(X, y, subjects=subjects, work=work)
    model.save(home)
    before, held = {p.name for p in work.iterdir()}, {p.name for p in (home / "parts").iterdir()}
    for name in before:
        (work / f".{name}.tmp").write_bytes(b"half written by a fit that was killed")
    deletion = model.forget(subjects=["u5"], work=work)
    touched = [f"{u.id}/slice-{r}" for u in deletion.plan.units for r in range(u.first_slice, 4)]
    assert deletion.plan.purge == tuple(touched)
    gone = before - {p.name for p in work.iterdir()}
    assert len(gone) == len(touched)
    assert set(deletion.destroyed) == {*touched, *gone, *(f".{name}.tmp" for name in gone)}
    assert not any((work / f".{name}.tmp").exists() for name in gone)
    removed = model.save(home)
    assert len(removed) == len(touched) + 3  # and those with the records, their names, and the digests of all
    assert held - {p.name for p in (home / "parts").iterdir()} == set(removed)
    rest = without({"u5"}, X, y, subjects)
    fresh = make().fit(*rest[:2], subjects=rest[2], work=tmp_path / "f")
    assert {_key(p) for p in work.glob("*.stage")} == {_key(p) for p in (tmp_path / "f").iterdir()}
    assert fresh.digest() == model.digest()


def test_every_record_is_trained_on_exactly_as_often_as_its_slice_says() -> None:
    """§3.2a: records after the last full slice were never trained. Counts of Bayes say what was seen."""
    X = np.eye(103)  # each record has a word of its own
    y = np.arange(103) % 2
    model = sisa(ScikitMultinomialNB(), shards=4, slices=3, epochs=5, classes=[0, 1]).fit(X, y)
    seen = np.zeros(103)
    for _, trained in model._serving():
        seen += trained.feature_count_.sum(axis=0)
    later = np.cumsum([2, 3, 2])[::-1]  # 2 * 5 / 4 passes a stage, fractions carried; a slice is seen in all after it
    parts = np.array([part for _, part in model.members(list(range(103)))])
    assert (seen == later[parts - 1]).all()
    assert seen.min() >= 1


def test_a_second_request_does_not_bring_the_first_back() -> None:
    """§3.2b: the forget set was not cumulative."""
    X, y, subjects = table()
    model = sisa(slices=2, epochs=2).fit(X, y, subjects=subjects)
    unit = model.members([5])[0]
    same = next(i for i in range(6, 90) if model.members([i])[0] == unit)  # another person in the same slice
    model.forget(subjects=["u5"])
    model.forget(subjects=[f"u{same}"])
    rest = without({"u5", f"u{same}"}, X, y, subjects)
    assert model.digest() == fitted(sisa(slices=2, epochs=2), *rest).digest()


def test_nobody_moves_when_others_leave() -> None:
    """§3.2c: slice borders moved after a deletion."""
    X, y, subjects = table()
    model = sisa(slices=3, epochs=3).fit(X, y, subjects=subjects)
    before = dict(zip(range(300), model.members(list(range(300))), strict=True))
    model.forget(subjects=["u5", "u6", "u7"])
    left = [i for i, s in enumerate(subjects) if s not in {"u5", "u6", "u7"}]
    assert model.members(left) == [before[i] for i in left]


# -- cost, plan, slices -----------------------------------------------------------------------------------------------


def test_the_cost_is_counted_where_it_trains_and_is_what_the_plan_said(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, subjects = table()
    monkeypatch.setattr(FixedUnit, "learned", lambda _: "sha256:none")  # a canary is trained, too
    model = sisa(slices=3, epochs=4, classes=[0, 1]).fit(X, y, subjects=subjects)
    seen = 0
    original = SGDClassifier.partial_fit

    def counting(self: Any, X: Any, y: Any, **more: Any) -> Any:
        nonlocal seen
        seen += len(y)
        return original(self, X, y, **more)

    monkeypatch.setattr(SGDClassifier, "partial_fit", counting)
    deletion = model.forget(subjects=["u5"])
    rebuilt = seen
    fresh = fitted(sisa(slices=3, epochs=4, classes=[0, 1]), *without({"u5"}, X, y, subjects))
    seen = 0
    fresh._learn(fresh._fitted().rows)  # a fit without the trial that it repeats
    assert deletion.cost == rebuilt / seen == deletion.plan.cost
    assert 0 < deletion.cost < 0.5


def test_stages_before_the_first_hit_are_not_trained_again() -> None:
    X, y, subjects = table()
    model = sisa(slices=3, epochs=3).fit(X, y, subjects=subjects)
    late = next(i for i in range(90) if model.members([i])[0][1] == 3)
    unit = int(model.members([late])[0][0][-3:])
    before = model._fitted().learned.shards[unit].stages
    (touched,) = model.plan(subjects=[f"u{late}"]).units
    assert touched.first_slice == 3
    model.forget(subjects=[f"u{late}"])
    after = model._fitted().learned.shards[unit].stages
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, True, False]


def test_an_expensive_deletion_is_a_full_retraining_and_gives_the_same_bits() -> None:
    X, y, subjects = table()
    model = sisa(slices=2, epochs=2).fit(X, y, subjects=subjects)
    gone = [f"u{i}" for i in range(40)]
    deletion = model.forget(subjects=gone)
    assert (deletion.plan.route, deletion.cost) == (Route.RETRAIN, 1.0)
    rest = without(set(gone), X, y, subjects)
    assert model.digest() == fitted(sisa(slices=2, epochs=2), *rest).digest()


def test_those_who_are_likely_to_leave_are_in_the_last_slice_and_cheap_to_forget() -> None:
    X, y, subjects = table()
    prior = np.array([0.9 if int(s[1:]) % 9 == 0 else 0.0 for s in subjects])
    make = lambda: sisa(slices=4, epochs=5, cutoffs=[0.5])
    model = make().fit(X, y, subjects=subjects, prior=prior)
    places = np.array([part for _, part in model.members(list(range(300)))])
    assert set(places[prior > 0.5]) == {4}
    assert set(places[prior < 0.5]) == {1, 2, 3}
    likely, unlikely = (np.mean([model.plan(subjects=[f"u{k}"]).cost for k in ks]) for ks in ((0, 9, 18), (1, 10, 19)))
    assert likely < unlikely
    model.forget(subjects=["u9", "u1"])
    keep = [i for i, s in enumerate(subjects) if s not in {"u9", "u1"}]
    fresh = make().fit(X[keep], y[keep], subjects=[subjects[i] for i in keep], prior=prior[keep])
    assert model.digest() == fresh.digest(), "fixed cut-offs: nobody's slice depends on other people's prior"
    for wrong in ({"prior": prior[:5]}, {"prior": np.full(300, np.nan)}, {"prior": ["x"] * 300}):
        with pytest.raises(InvalidData, match="prior"):
            make().fit(X, y, subjects=subjects, **wrong)
    with pytest.raises(InvalidParameter, match="cutoffs"):
        sisa(slices=2).fit(X, y, subjects=subjects, prior=prior)


def test_a_unit_without_records_is_removed() -> None:
    X, y, subjects = table()
    model = sisa(shards=40).fit(X, y, subjects=subjects)
    unit = min(model.units(), key=lambda u: u.n_records).id
    there = {subjects[i] for i in range(300) if model.members([i])[0][0] == unit}
    n = len(model.units())
    deletion = model.forget(subjects=sorted(there))
    assert [u.id for u in deletion.plan.units] == [unit]
    assert deletion.cost == 0
    assert len(model.units()) == n - 1
    assert model.digest() == fitted(sisa(shards=40), *without(there, X, y, subjects)).digest()


# -- what is fitted on data -------------------------------------------------------------------------------------------


def test_a_scaler_in_a_sliced_unit_is_fitted_on_its_first_slice_alone() -> None:
    X, y, subjects = table()
    model = sisa(make_pipeline(StandardScaler(), LOG), slices=3, epochs=3).fit(X, y, subjects=subjects)
    places = model.members(list(range(300)))
    for unit, trained in model._serving():
        first = [i for i, (u, part) in enumerate(places) if u == f"shard-{unit:03d}" and part == 1]
        np.testing.assert_allclose(trained[0].mean_, X[first].mean(axis=0), rtol=1e-9)
        assert trained[0].n_samples_seen_ == len(first)


def test_slices_without_continuation_are_refused() -> None:
    X, y, subjects = table(60)
    for estimator in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        with pytest.raises(InvalidParameter, match="partial_fit"):
            sisa(estimator, slices=2).fit(X, y, subjects=subjects)
    sisa(LogisticRegression()).fit(X, y, subjects=subjects)


def test_a_step_fitted_elsewhere_is_refused_unless_declared_and_then_promised() -> None:
    X, y, subjects = table(60)
    scaler = StandardScaler().fit(X[:20])
    pipeline = make_pipeline(FrozenEstimator(scaler), LOG)
    with pytest.raises(InvalidParameter, match="frozenestimator"):
        sisa(pipeline).fit(X, y, subjects=subjects)
    model = sisa(pipeline, slices=2, declared=["frozenestimator"]).fit(X, y, subjects=subjects)
    assert any("frozenestimator" in a for a in model.promise().assumptions)
    assert not any("frozenestimator" in a for a in sisa().promise().assumptions)
    np.testing.assert_array_equal(next(model._serving())[1][0].mean_, scaler.mean_)
    with pytest.raises(InvalidParameter, match="no such"):
        sisa(declared=["scaler"]).fit(X, y, subjects=subjects)
    with pytest.raises(InvalidParameter, match="frozen"):
        sisa(FrozenEstimator(LOG), declared=[]).fit(X, y, subjects=subjects)


def test_a_cache_on_disk_is_refused(tmp_path: Path) -> None:
    X, y, subjects = table(60)
    with pytest.raises(InvalidParameter, match="memory"):
        sisa(make_pipeline(StandardScaler(), LOG, memory=str(tmp_path))).fit(X, y, subjects=subjects)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shards": 0}, {"slices": 0}, {"slices": 1.5}, {"slices": 9, "epochs": 3}, {"vote": "median"},
        {"slices": 2, "cutoffs": [0.1, 0.2]}, {"slices": 3, "cutoffs": [0.2, 0.1]}, {"declared": "step"},
        {"estimator": SGDClassifier(), "vote": "mean"}, {"estimator": "sgd"}, {"executor": "slurm"},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    X, y, subjects = table(60)
    with pytest.raises(InvalidParameter):
        sisa(**wrong).fit(X, y, subjects=subjects)


# -- classes and aggregation ------------------------------------------------------------------------------------------


def test_an_undeclared_class_that_vanishes_trains_every_sliced_unit_again_and_a_declared_one_does_not() -> None:
    X, y, subjects = table()
    y[5] = 2
    subjects[5] = "odd"
    for classes, route in ((None, Route.RETRAIN), ([0, 1, 2], Route.REBUILD)):
        model = sisa(slices=2, epochs=2, classes=classes).fit(X, y, subjects=subjects)
        plan = model.plan(subjects=["odd"])
        assert plan.route is route
        assert (len(plan.units) == len(model.units()), bool(plan.notes)) == (classes is None, classes is None)
        model.forget(subjects=["odd"])
        rest = without({"odd"}, X, y, subjects)
        assert model.digest() == fitted(sisa(slices=2, epochs=2, classes=classes), *rest).digest()
        assert model.classes_.tolist() == ([0, 1] if classes is None else classes)
    own = sisa(LogisticRegression()).fit(X, y, subjects=subjects)
    assert own.plan(subjects=["odd"]).route is Route.REBUILD, "one fit knows its own classes only"
    with pytest.raises(InvalidData, match="declare"):
        sisa(classes=[0, 1]).fit(X, y, subjects=subjects)


def test_the_longest_label_leaves_no_trace_in_other_units() -> None:
    X, y, subjects = table()
    labels = np.array(["no", "yes"])[y].astype("<U20")
    labels[5], subjects[5] = "a-very-long-label", "odd"
    for settings in ({}, {"slices": 2, "epochs": 2}):
        model = sisa(**settings).fit(X, labels, subjects=subjects)
        model.forget(subjects=["odd"])
        assert model.digest() == fitted(sisa(**settings), *without({"odd"}, X, labels, subjects)).digest()
        assert b"a-very-long" not in pickle.dumps(model)


def test_a_unit_says_nothing_about_classes_it_never_saw() -> None:
    """One unit of four knows class 2: its opinion counts whole, not as a fourth."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    subjects = [f"u{i}" for i in range(200)]
    places = sisa(shards=4).fit(X, np.arange(200) % 2, subjects=subjects).members(list(range(200)))
    y = (X[:, 0] > 0).astype(int)
    there = [i for i, (unit, _) in enumerate(places) if unit == "shard-000"]
    y[there[:12]] = 2
    X[there[:12]] = 8 + 0.1 * X[there[:12]]
    for settings in ({}, {"slices": 2, "epochs": 20}):
        estimator = LOG if settings else LogisticRegression()
        for vote in ("mean", "vote"):
            model = sisa(estimator, shards=4, vote=vote, **settings).fit(X, y, subjects=subjects)
            assert model.predict([[8.0, 8.0]]) == [2]
            assert model.predict([[-2.0, 0.0]]) == [0]
            np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_mean_and_vote_are_those_of_the_units() -> None:
    X, y, subjects = table()
    mean = sisa(LogisticRegression()).fit(X, y, subjects=subjects)
    units = [model for _, model in mean._serving()]
    np.testing.assert_allclose(mean.predict_proba(X), np.mean([m.predict_proba(X) for m in units], axis=0))
    vote = sisa(LogisticRegression(), vote="vote").fit(X, y, subjects=subjects)
    np.testing.assert_allclose(vote.predict_proba(X)[:, 1], np.mean([m.predict(X) for m in units], axis=0))
    hinge = sisa(SGDClassifier()).fit(X, y, subjects=subjects)
    assert set(np.round(hinge.predict_proba(X)[:, 1] * 6, 9)) <= set(range(7)), (
        "auto: votes, where nothing else is said"
    )


def test_a_regression_is_the_mean_of_the_units_and_one_unit_is_scikit_learn() -> None:
    X, _, subjects = table()
    y = X @ [1.0, -2.0, 0.5, 0.0] + 3
    model = sisa(LinearRegression()).fit(X, y, subjects=subjects)
    np.testing.assert_allclose(model.predict(X), np.mean([m.predict(X) for _, m in model._serving()], axis=0))
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-9)
    one = sisa(LinearRegression(), shards=1).fit(X, y, subjects=subjects)
    np.testing.assert_allclose(one.predict(X), LinearRegression().fit(X, y).predict(X), rtol=1e-9)
    assert not hasattr(model, "predict_proba")
    sliced = sisa(SGDRegressor(), slices=2).fit(X, y, subjects=subjects)
    assert sliced.score(X, y) > 0.9


def test_units_of_one_class_abstain_and_one_class_is_always_predicted() -> None:
    X, y, subjects = table(60)
    one = sisa(slices=2, epochs=2).fit(X, np.full(60, 4), subjects=subjects)
    assert (one.predict(X) == 4).all()
    several = sisa(LogisticRegression(), shards=30).fit(X, y, subjects=subjects)
    learned = several._fitted().learned
    alone = sum(not learned.tells_apart(unit) for unit in learned.shards)
    assert alone > 3
    assert several.score(X, y) > 0.7


# -- state ------------------------------------------------------------------------------------------------------------


def test_saving_again_writes_only_what_changed(tmp_path: Path) -> None:
    X, y, subjects = table()
    model = sisa(slices=2, epochs=2).fit(X, y, subjects=subjects)
    model.save(tmp_path)
    times = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "parts").iterdir()}
    model.forget(subjects=["u5"])
    model.save(tmp_path)
    unchanged = [p for p in (tmp_path / "parts").iterdir() if times.get(p.name) == p.stat().st_mtime_ns]
    assert len(unchanged) >= 2 * (6 - 1)
    loaded = Sisa.load(tmp_path, salt=SALT)
    assert loaded.digest() == model.digest()
    assert (loaded.predict(X) == model.predict(X)).all()


def test_loading_checks_template_salt_and_types(tmp_path: Path) -> None:
    X, y, subjects = table(60)
    model = sisa().fit(X, y, subjects=subjects)
    model.save(tmp_path)
    Sisa.load(tmp_path, estimator=SGDClassifier(loss="log_loss"), salt=SALT)
    with pytest.raises(DigestMismatch, match="estimator"):
        Sisa.load(tmp_path, estimator=SGDClassifier(loss="log_loss", alpha=1e-3), salt=SALT)
    with pytest.raises(DigestMismatch, match="salt"):
        Sisa.load(tmp_path, salt=b"another")
    assert not any(p.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05") for p in (tmp_path / "parts").iterdir()), (
        "no pickle"
    )


def test_a_saved_estimator_of_strange_types_is_not_loaded() -> None:
    with pytest.raises(UnsafeWeights, match=r"somebodys\.module\.Own"):
        loads(renamed(skops.io.dumps(SGDClassifier()), "somebodys.module", "Own"))
    with pytest.raises(UnsafeWeights, match="runstring"):
        loads(renamed(skops.io.dumps(SGDClassifier()), "numpy.testing._private.utils", "runstring"))
    loads(skops.io.dumps(DecisionTreeClassifier().fit([[0], [1]], [0, 1])))
    with pytest.raises(UnreadableModel):
        loads(skops.io.dumps(SGDClassifier())[:200])


def renamed(data: bytes, module: str, name: str) -> bytes:
    """A skops archive whose outer object claims to be of another class."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    schema = json.loads(files["schema.json"])
    schema["__module__"], schema["__class__"] = module, name
    files["schema.json"] = json.dumps(schema).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n, content in files.items():
            archive.writestr(n, content)
    return out.getvalue()


def test_other_libraries_than_those_of_the_fit_are_refused_before_anything_changes(tmp_path: Path) -> None:
    X, y, subjects = table(60)
    model = sisa().fit(X, y, subjects=subjects)
    state = model._fitted()
    elsewhere = replace(state.recipe, environment={**state.recipe.environment, "python": "3.9.0"})
    model._state = replace(state, recipe=elsewhere)
    before = model.digest()
    with pytest.raises(RecipeMismatch, match=r"3\.9\.0"):
        model.forget(subjects=["u5"])
    assert model.digest() == before
    model.plan(subjects=["u5"])


def test_values_of_a_deleted_record_are_nowhere(tmp_path: Path) -> None:
    X, y, subjects = table()
    X[5] = [1234.5678, -777.125, 31.0625, 9e9]
    model = sisa(KNeighborsClassifier()).fit(X, y, subjects=subjects)  # it keeps every row that it is given
    model.predict(X)
    model.save(tmp_path)
    held = lambda: pickle.dumps(model) + b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    traces = [v.tobytes() for v in X[5]]
    assert all(trace in held() for trace in traces), "the control"
    model.forget(records=[5])
    model.save(tmp_path)
    assert not any(trace in held() for trace in traces)


def test_the_digest_of_an_estimator_is_of_its_values() -> None:
    X, y, _ = table(80)
    for estimator in (LOG, RandomForestClassifier(3), MLPClassifier((3,), max_iter=3), KNeighborsClassifier()):
        seeded = {k: 0 for k in estimator.get_params() if k == "random_state"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a, b = (estimator.__class__(**{**estimator.get_params(), **seeded}).fit(X, y) for _ in range(2))
            c = estimator.__class__(**{**estimator.get_params(), **seeded}).fit(X[1:], y[1:])
        assert skops.io.dumps(a) != skops.io.dumps(b), "the control: bytes hold addresses"
        assert digest_value(a) == digest_value(b) != digest_value(c)
        assert digest_value(loads(skops.io.dumps(a))) == digest_value(a)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidParameter, match="itself"):
        digest_value(loop)


# -- torch ------------------------------------------------------------------------------------------------------------


def net() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))


def train_net(module: Any, X: Any, y: Any, epochs: int, seed: int) -> None:
    import torch

    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(X[batch].float()), y[batch]).backward()
            optimizer.step()


def net_probabilities(module: Any, X: Any) -> Any:
    return module(X.float()).softmax(dim=1)


def test_a_torch_training_function_is_sliced_continued_and_forgets_bitwise(tmp_path: Path) -> None:
    X, y, subjects = table(200)
    training = TorchTraining(net, train_net, net_probabilities)
    make = lambda: sisa(training, shards=3, slices=2, epochs=6, classes=[0, 1])
    model = make().fit(X, y, subjects=subjects)
    late = next(i for i in range(90) if model.members([i])[0][1] == 2)
    deletion = model.forget(subjects=[f"u{late}"])
    assert deletion.plan.units[0].first_slice == 2
    assert model.digest() == fitted(make(), *without({f"u{late}"}, X, y, subjects)).digest()
    assert model.score(X, y) > 0.75
    model.save(tmp_path)
    with pytest.raises(InvalidParameter, match="estimator="):
        Sisa.load(tmp_path, salt=SALT)
    loaded = Sisa.load(tmp_path, salt=SALT, estimator=TorchTraining(net, train_net, net_probabilities))
    assert loaded.digest() == model.digest()
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    with pytest.raises(DigestMismatch, match="estimator"):
        Sisa.load(tmp_path, salt=SALT, estimator=TorchTraining(net, net_probabilities, net_probabilities))


def test_a_torch_regression() -> None:
    from torch import nn, optim

    def train(module: Any, X: Any, y: Any, epochs: int, seed: int) -> None:
        optimizer = optim.SGD(module.parameters(), lr=0.05)
        for _ in range(epochs):
            optimizer.zero_grad()
            (module(X).squeeze(1) - y).square().mean().backward()
            optimizer.step()

    X, _, subjects = table(200)
    X, y = X.astype(np.float32), X @ [1.0, -2.0, 0.5, 0.0]
    model = sisa(TorchTraining(lambda: nn.Linear(4, 1), train, kind="regressor"), shards=2, epochs=100)
    model.fit(X, y, subjects=subjects)
    assert model.score(X, y) > 0.95
    wrong = TorchTraining(lambda: nn.Linear(4, 3), train_net, kind="classifier")
    with pytest.raises(InvalidParameter, match="outputs"):
        sisa(wrong, shards=1, epochs=1).fit(X, (y > 0).astype(int), subjects=subjects).predict(X)
