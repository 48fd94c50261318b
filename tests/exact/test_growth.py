"""A learner that grows equals one that was fitted on everything at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.linear_model import SGDClassifier

from expunge import exact
from expunge.core import Record
from expunge.core.errors import AlreadyForgotten, InvalidData, InvalidParameter, NotReady, UnknownSubject
from expunge.exact import AdapterShards, GaussianNB, Sisa
from expunge.exact._sisa.fixed import FixedUnit
from expunge.testing.tabular import CASES, SALT, Case, Table, growth, numbers


def _part(table: Table, of: slice) -> tuple[Any, Any, list[str]]:
    return table.X[of], None if table.y is None else table.y[of], table.subjects[of]


def _grow(learner: Any, table: Table, of: slice) -> Any:
    X, y, subjects = _part(table, of)
    return learner.add(X, y, subjects=subjects)


def _fit(case: Case, table: Table, of: slice) -> Any:
    X, y, subjects = _part(table, of)
    return case.make().fit(X, y, subjects=subjects)


def _same(one: Any, other: Any) -> bool:
    return bool(one.equals(other))


@pytest.mark.parametrize("name", CASES)
def test_what_is_added_is_as_if_it_had_been_there(name: str) -> None:
    case = CASES[name]
    table = case.data(3, 60)
    whole = table.fit(case.make())
    grown = _grow(_grow(_fit(case, table, slice(40)), table, slice(40, 59)), table, slice(59, 60))
    assert _same(grown, whole)
    assert not _same(_fit(case, table, slice(59)), whole), "the control: the last record is missing"


@pytest.mark.parametrize("name", CASES)
def test_add_forget_add_is_one_fit_of_what_is_left(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    table = case.data(4, 60)
    learner = _grow(_fit(case, table, slice(30)), table, slice(30, 45))
    leaving = table.subjects[2]
    learner.forget(subjects=[leaving])
    learner.save(tmp_path)
    given = {"estimator": case.settings["estimator"]} if "estimator" in case.settings else {}
    learner = exact.load(tmp_path, salt=SALT, **given)
    stay = [i for i in range(45, 60) if table.subjects[i] != leaving]
    X = [table.X[i] for i in stay] if isinstance(table.X, list) else table.X[stay]
    learner.add(X, None if table.y is None else table.y[stay], subjects=[table.subjects[i] for i in stay])
    gone = {i for i, subject in enumerate(table.subjects) if subject == leaving}
    assert _same(learner, table.without(gone).fit(case.make()))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(6))
def test_records_that_come_and_leave_in_turns_are_one_fit_of_what_is_held(name: str, seed: int) -> None:
    case = CASES[name]
    table = case.data(seed, 60)
    steps = growth(table, seed)
    learner = steps.of(case.make(), table)
    assert _same(learner, table.only(steps.held).fit(case.make()))
    assert not _same(learner, table.only(steps.held[:-1]).fit(case.make())), "the control: the last record is missing"


@pytest.mark.parametrize("name", CASES)
def test_partial_fit_in_any_parts_is_one_fit(name: str) -> None:
    case = CASES[name]
    table = case.data(5, 60)
    learner = case.make()
    told: dict[str, Any] = {"classes": np.unique(table.y)} if is_classifier(learner) else {}
    for of in (slice(35), slice(35, 36), slice(36, 60)):
        X, y, subjects = _part(table, of)
        learner.partial_fit(X, y, **told, subjects=subjects)
    assert _same(learner, table.fit(case.make()))
    before = learner.digest()
    X, y, subjects = _part(table, slice(3))
    if told:
        with pytest.raises(InvalidData, match="labels are not among the 1 classes"):
            learner.partial_fit(X, y, classes=[y[0] + 100], subjects=subjects)
    else:
        with pytest.raises(InvalidParameter, match="classes are for classifiers"):
            learner.partial_fit(X, y, classes=[0, 1], subjects=subjects)
    assert learner.digest() == before


def _no_fit(*_: Any) -> Any:
    raise AssertionError("a fit of all was made")


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("sisa")])
def test_what_can_be_added_to_is_not_fitted_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records like those that are held, after a deletion."""
    case = CASES[name]
    table = case.data(6, 60)
    likes = [i for i in range(60) if table.y is None or table.subjects[i] != table.subjects[0]][:4]
    learner = table.fit(case.make())
    learner.forget(records=[0])
    whole = table.only([*range(1, 60), *likes]).fit(case.make())
    monkeypatch.setattr(type(learner), "_learn", _no_fit)
    table.only(likes).add_to(learner)
    assert _same(learner, whole)


@pytest.mark.parametrize("name", ["gaussian_nb", "multinomial_nb", "k_neighbors", "logistic_regression", "forest"])
def test_a_class_that_nobody_had_comes_and_leaves_again(name: str) -> None:
    case = CASES[name]
    table = case.data(2, 60)
    y = np.where(np.arange(60) < 50, table.y % 2, 5)
    first = Table(table.X[:50], y[:50], table.subjects[:50])
    learner = first.fit(case.make())
    learner.add(table.X[50:], y[50:], subjects=["late"] * 10)
    assert _same(learner, case.make().fit(table.X, y, subjects=[*table.subjects[:50], *["late"] * 10]))
    assert 5 in learner.classes_
    learner.forget(subjects=["late"])
    assert _same(learner, first.fit(case.make()))


def test_categories_and_words_that_nobody_had_come_and_leave_again() -> None:
    values = [["b", 1], ["a", 2], ["b", None]], [["c", 2], ["aa", 0]]
    texts = ["red fox", "red hen"], ["blue fox blue", "ant"]
    for kind, (first, late) in (("one_hot_encoder", values), ("tfidf_vectorizer", texts)):
        made = lambda kind=kind: exact.learners.get(kind)(salt=SALT)
        held, come = (x if kind == "tfidf_vectorizer" else np.array(x, dtype=object) for x in (first, late))
        learner = made().fit(held, subjects=["early"] * len(first)).add(come, subjects=["late"] * len(late))
        both = [*first, *late] if kind == "tfidf_vectorizer" else np.vstack([held, come])
        whole = made().fit(both, subjects=["early"] * len(first) + ["late"] * len(late))
        assert learner.digest() == whole.digest()
        assert np.array_equal(learner.get_feature_names_out(), whole.get_feature_names_out())
        assert (learner.transform(both) != whole.transform(both)).nnz == 0
        learner.forget(subjects=["late"])
        assert learner.digest() == made().fit(held, subjects=["early"] * len(first)).digest()


def test_counts_that_add_up_to_more_than_can_be_held_are_refused_whenever_they_come() -> None:
    X, y = np.full((2, 1), 2.0**41), np.array([0, 1])
    with pytest.raises(InvalidData, match="at most"):
        exact.MultinomialNB(salt=SALT).fit(np.vstack([X, X]), np.append(y, y))
    learner = exact.MultinomialNB(salt=SALT).fit(X, y)
    before = learner.digest()
    with pytest.raises(InvalidData, match="at most"):
        learner.add(X, y)
    assert learner.digest() == before


def test_certified_growth_is_a_fit_with_noise_of_its_own() -> None:
    made = lambda: exact.LogisticRegression(mode="certified", sigma=50.0, salt=SALT)
    learner = made().fit(TABLE.X[:50] / 1e8, TABLE.y[:50] % 2).add(TABLE.X[50:] / 1e8, TABLE.y[50:] % 2)
    assert learner.digest() == made().fit(TABLE.X / 1e8, TABLE.y % 2).digest()


def test_names_of_people_are_one_whichever_part_they_came_in() -> None:
    learner = GaussianNB(salt=SALT).fit(TABLE.X[:3], TABLE.y[:3], subjects=["ann", ("ann", "bob"), "cid"])
    learner.forget(subjects=["cid"])
    learner.add(TABLE.X[3:6], TABLE.y[3:6], subjects=["cid", ("dan", "bob"), "ann"])
    assert [learner.plan([name]).n_removed for name in ("ann", "bob", "cid", "dan")] == [3, 2, 1, 1]
    learner.forget(subjects=["bob"])
    assert learner.n_records == 3
    with pytest.raises(UnknownSubject):
        learner.plan(subjects=["dan"])
    kept = [0, 3, 5]
    fresh = GaussianNB(salt=SALT).fit(TABLE.X[kept], TABLE.y[kept], subjects=["ann", "cid", "ann"])
    assert learner.digest() == fresh.digest()


def test_units_that_gain_nothing_are_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 2
    subjects = [f"u{i % 20}" for i in range(80)]
    settings: dict[str, Any] = {"shards": 4, "slices": 2, "workers": 1, "classes": [0, 1], "salt": SALT}
    monkeypatch.setattr(FixedUnit, "learned", lambda _: "sha256:none")
    model = Sisa(SGDClassifier(), **settings).fit(X, y, subjects=subjects)
    seen: list[int] = []
    original = SGDClassifier.partial_fit

    def counting(self: Any, X: Any, y: Any, **more: Any) -> Any:
        seen.append(len(y))
        return original(self, X, y, **more)

    monkeypatch.setattr(SGDClassifier, "partial_fit", counting)
    model.add(X[:1] + 1, y[:1], subjects=["u3"])
    grown, seen = sum(seen), []
    whole = Sisa(SGDClassifier(), **settings).fit(
        np.vstack([X, X[:1] + 1]), np.append(y, y[:1]), subjects=[*subjects, "u3"]
    )
    assert model.digest() == whole.digest()
    assert grown < sum(seen) / 2


TABLE = numbers(1)


def _ids(n: int, start: int = 0) -> list[str]:
    return [f"r{i}" for i in range(start, start + n)]


def test_a_record_that_was_forgotten_is_not_learned_again_and_nothing_changes() -> None:
    learner = GaussianNB(salt=SALT).fit(TABLE.X, TABLE.y, records=_ids(60))
    learner.forget(records=["r7"])
    before = learner.digest()
    with pytest.raises(AlreadyForgotten, match="1 of 2 records were forgotten before and must never be learned again"):
        learner.add(TABLE.X[:2], TABLE.y[:2], records=["r7", "r99"])
    with pytest.raises(InvalidData, match="1 of 1 record ids are in this model already"):
        learner.add(TABLE.X[:1], TABLE.y[:1], records=["r8"])
    with pytest.raises(InvalidData, match="without subjects="):
        learner.add(TABLE.X[:1], TABLE.y[:1], records=["r99"], subjects=["ann"])
    with pytest.raises(InvalidData, match="other columns"):
        learner.add(TABLE.X[:1, :3], TABLE.y[:1], records=["r99"])
    assert learner.digest() == before
    learner.var_smoothing = 0.5
    with pytest.raises(NotReady, match="var_smoothing changed"):
        learner.add(TABLE.X[:1], TABLE.y[:1], records=["r99"])


@pytest.mark.parametrize("kind", ["gaussian_nb", "one_hot_encoder"])
def test_a_record_that_comes_and_leaves_again_decides_no_type(kind: str) -> None:
    """A label 1.0 among whole numbers, a value 2.0 among whole numbers."""
    X, y = np.arange(40).reshape(20, 2) % 5, np.arange(20) % 2
    made = lambda: exact.learners.get(kind)(salt=SALT)
    fit = lambda: made().fit(X, y if kind == "gaussian_nb" else None, records=_ids(20))
    learner = fit().add(X[:1].astype(float), np.array([1.0]) if kind == "gaussian_nb" else None, records=["new"])
    learner.forget(records=["new"])
    assert learner.digest() == fit().digest()


def test_a_label_that_the_type_of_the_others_cannot_hold_is_refused() -> None:
    learner = GaussianNB(salt=SALT).fit(TABLE.X, np.arange(60, dtype=np.uint8) % 2, records=_ids(60))
    before = learner.digest()
    for label in ("a", 300):
        with pytest.raises(InvalidData, match="cannot hold these of type"):
            learner.add(TABLE.X[:1], np.array([label]), records=["new"])
    assert learner.digest() == before


def test_longer_words_than_any_before_are_learned_whole() -> None:
    y = np.array(["a", "b"] * 30)
    learner = GaussianNB(salt=SALT).fit(TABLE.X[:50], y[:50])
    learner.add(TABLE.X[50:], np.array(["a", "bcdefgh"] * 5))
    whole = GaussianNB(salt=SALT).fit(TABLE.X, np.array(["a", "b"] * 25 + ["a", "bcdefgh"] * 5))
    assert learner.digest() == whole.digest()


def test_rows_may_come_sparse_or_not_whatever_is_held() -> None:
    X, y = np.arange(80).reshape(40, 2) % 3, np.arange(40) % 2
    whole = {form: exact.MultinomialNB(salt=SALT).fit(form(X), y) for form in (np.array, sparse.csr_matrix)}
    for held, come in ((np.array, sparse.csr_matrix), (sparse.csr_matrix, np.array)):
        learner = exact.MultinomialNB(salt=SALT).fit(held(X[:30]), y[:30]).add(come(X[30:]), y[30:])
        assert learner.digest() == whole[held].digest()


def test_stages_of_before_do_not_outlive_a_later_deletion(tmp_path: Path) -> None:
    X, y = np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 2
    subjects = [f"u{i % 20}" for i in range(80)]
    made = lambda: Sisa(SGDClassifier(), shards=2, slices=2, workers=1, classes=[0, 1], salt=SALT)
    model = made().fit(X, y, subjects=subjects, work=tmp_path / "a")
    model.add(X[:4] + 1, y[:4], subjects=subjects[:4], work=tmp_path / "a")
    model.forget(["u0"], work=tmp_path / "a")
    stay = [i for i in range(80) if subjects[i] != "u0"]
    more = [i for i in range(4) if subjects[i] != "u0"]
    fresh = made().fit(
        np.vstack([X[stay], X[more] + 1]),
        np.concatenate([y[stay], y[more]]),
        subjects=[subjects[i] for i in (*stay, *more)],
        work=tmp_path / "b",
    )
    assert model.digest() == fresh.digest()
    # Keys: the digests behind them are of bytes that hold the time of writing.
    left, expected = ({p.name.split(".")[0] for p in (tmp_path / name).iterdir()} for name in "ab")
    assert left == expected


def test_row_numbers_of_those_who_left_are_not_given_again() -> None:
    learner = GaussianNB(salt=SALT).fit(TABLE.X, TABLE.y)
    learner.forget(records=[58, 59])
    learner.add(TABLE.X[58:], TABLE.y[58:])
    with pytest.raises(AlreadyForgotten):
        learner.forget(records=[59])
    learner.forget(records=[60])


def test_shards_that_gain_nothing_keep_their_bits_and_all_equal_a_fit(llama: Any, tokenizer: Any) -> None:
    rows = [Record(str(i), f"p{i % 6}", f"Where does p{i % 6} go, {i}?", f"To town {i}.") for i in range(18)]
    made = lambda: AdapterShards(llama, tokenizer, shards=3, slices=2, rank=2, epochs=3, batch_size=4, salt=b"s")
    learner, steps = made().fit(rows[:12]), list[str]()
    untouched = {u.id: u.digest for u in learner.units()}
    extra = Record("new", "p1", "Where does p1 sleep?", "At home.")
    learner.add([extra], progress=lambda unit, done, total: steps.append(unit))
    assert len(set(steps)) == 1
    assert all(untouched[u.id] == u.digest for u in learner.units() if u.id not in steps)
    assert learner.digest() == made().fit([*rows[:12], extra]).digest()
    learner.forget(["p2"])
    learner.add([r for r in rows[12:] if r.subject != "p2"])
    assert learner.digest() == made().fit([r for r in [*rows[:12], extra, *rows[12:]] if r.subject != "p2"]).digest()
    before = learner.digest()
    with pytest.raises(InvalidData, match="1 of 1 record ids are in this model already"):
        learner.add([Record("new", "p1", "Where does p1 sleep?", "In town.")])
    assert learner.digest() == before
