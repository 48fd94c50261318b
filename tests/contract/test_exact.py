"""What every tabular learner keeps."""

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from expunge.core import Equality, MadeOfUnits
from expunge.core.errors import (
    AlreadyForgotten,
    EmptyForgetSet,
    ExpungeError,
    InvalidData,
    InvalidParameter,
    NothingLeft,
    NotReady,
    UnknownRecord,
    UnknownSubject,
)
from expunge.engine import digest_value
from expunge.exact import Forest, GaussianNB, KNeighbors, learners
from expunge.testing.tabular import CASES, SALT, Case, Table, numbers, requests

NOT_TABULAR = {"adapter_shards"}
SLOW = {"sisa-sliced", "sisa-pipeline", "sisa-regression"}  # where sisa-logistic says the same
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def agree(a: Any, b: Any) -> bool:
    """Whether two fitted learners are equal in the sense that they promise."""
    if a.equality is Equality.BITWISE:
        assert a.equals(b) == (a.digest() == b.digest())
    return bool(a.equals(b))


def run(case: Case, table: Table, seed: int) -> tuple[Any, set[int]]:
    learner, asked = table.fit(case.make()), requests(table, seed)
    for request in asked.asked:
        learner.forget(**request)
    return learner, set(asked.gone)


def test_every_learner_has_a_case() -> None:
    assert {case.learner for case in CASES.values()} == set(learners.names()) - NOT_TABULAR


@every
def test_keeps_the_conventions_of_scikit_learn(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(
            learners.get(case.learner)(**case.settings),
            expected_failed_checks=getattr(learners.get(case.learner), "allowed_failures", {}),
        )


@every
@pytest.mark.parametrize("seed", range(8))
def test_forgetting_equals_a_fit_without(case: Case, seed: int) -> None:
    table = case.data(seed, 60)
    learner, gone = run(case, table, seed)
    assert agree(learner, table.without(gone).fit(case.make()))
    assert not agree(learner, table.fit(case.make())), "the control: with the records it is another model"


@every
def test_a_saved_learner_goes_on_forgetting(case: Case, tmp_path: Path) -> None:
    table = case.data(3, 60)
    learner, gone = run(case, table, 3)
    learner.save(tmp_path / "m")
    loaded = type(learner).load(tmp_path / "m", salt=SALT)
    assert loaded.digest() == learner.digest()
    assert loaded.tombstones == learner.tombstones
    with pytest.raises(AlreadyForgotten):
        loaded.forget(records=[min(gone)])
    left = next(i for i in range(60) if i not in gone)
    loaded.forget(records=[left])
    learner.forget(records=[left])
    assert loaded.digest() == learner.digest()
    destroyed = loaded.save(tmp_path / "m")
    assert destroyed, "parts that held the record are removed"
    assert len(list((tmp_path / "m" / "parts").iterdir())) >= 2


@every
def test_a_plan_changes_nothing_and_says_what_forget_does(case: Case) -> None:
    table = case.data(1, 60)
    learner = table.fit(case.make())
    assert isinstance(learner, MadeOfUnits)
    before = learner.digest()
    plan = learner.plan(subjects=[table.subjects[0]])
    assert learner.digest() == before
    deletion = learner.forget(subjects=[table.subjects[0]], digests=True)
    assert deletion.plan == plan
    assert plan.n_removed == table.subjects.count(table.subjects[0])
    assert (deletion.digest_before, deletion.digest_after) == (before, learner.digest())
    assert learner.n_records == 60 - plan.n_removed


@every
def test_what_the_user_gave_is_as_it_was(case: Case) -> None:
    table = case.data(1, 60)
    learner = case.make()
    given = digest_value([learner.get_params(deep=True), table.X, table.y, table.subjects])
    table.fit(learner)
    learner.plan(subjects=[table.subjects[0]])
    learner.forget(subjects=[table.subjects[0]])
    assert digest_value([learner.get_params(deep=True), table.X, table.y, table.subjects]) == given


@every
@pytest.mark.parametrize("nobody", [None, float("nan"), "", "  ", np.datetime64("NaT")], ids=repr)
def test_what_names_nobody_is_refused_wherever_a_name_enters(case: Case, nobody: Any) -> None:
    table, learner = case.data(1, 60), case.make()
    y = lambda rows: None if table.y is None else table.y[rows]
    for who in ([nobody, *table.subjects[1:]], [(table.subjects[0], nobody), *table.subjects[1:]]):
        with pytest.raises(InvalidData, match="names nobody"):
            learner.fit(table.X, table.y, subjects=who)
    if nobody != "  ":
        with pytest.raises(InvalidData, match="1 of 60 record ids are missing"):
            learner.fit(table.X, table.y, records=[nobody, *range(1, 60)])
    table.fit(learner)
    before = learner.digest()
    with pytest.raises(InvalidData, match="names nobody"):
        learner.add(table.X[:2], y(slice(2)), subjects=["new", nobody])
    for ask in (learner.plan, learner.forget):
        with pytest.raises(InvalidData, match="names nobody"):
            ask(subjects=[table.subjects[0], nobody])
    assert learner.digest() == before


@every
def test_bad_requests_are_refused_by_type_and_change_nothing(case: Case) -> None:
    table = case.data(2, 60)
    learner = table.fit(case.make())
    learner.forget(records=[5])
    before = learner.digest()
    refused: list[tuple[type[ExpungeError], dict[str, Any]]] = [
        (EmptyForgetSet, {}),
        (EmptyForgetSet, {"subjects": []}),
        (UnknownSubject, {"subjects": ["nobody"]}),
        (UnknownSubject, {"subjects": [table.subjects[0], "nobody"]}),
        (UnknownRecord, {"records": [60]}),
        (UnknownRecord, {"records": [-1]}),
        (UnknownRecord, {"records": [0, "x"]}),
        (AlreadyForgotten, {"records": [5]}),
        (InvalidParameter, {"subjects": "u1"}),
        (NothingLeft, {"records": [i for i in range(60) if i != 5]}),
    ]
    for error, request in refused:
        for verb in (learner.plan, learner.forget):
            with pytest.raises(error):
                verb(**request)
        assert learner.digest() == before
    with pytest.raises(NotReady):
        case.make().forget(records=[0])
    alone = case.make().fit(table.X, table.y)
    with pytest.raises(UnknownSubject, match="without subjects"):
        alone.forget(subjects=["u1"])
    alone.forget(records=[0])


@every
def test_bad_data_is_refused_by_type(case: Case) -> None:
    table = case.data(2, 60)
    with pytest.raises(InvalidData, match="subjects"):
        case.make().fit(table.X, table.y, subjects=table.subjects[:-1])
    with pytest.raises(InvalidData, match="unique"):
        case.make().fit(table.X, table.y, records=[0] * 60)
    if not isinstance(table.X, list) and table.X.dtype == float:
        broken = table.X.copy()
        broken[3, 1] = np.nan
        for X in (broken, table.X[0]):
            with pytest.raises(InvalidData):
                case.make().fit(X, table.y, subjects=table.subjects)


@every
def test_a_record_about_several_people_leaves_with_each_of_them(case: Case) -> None:
    table = case.data(4, 60)
    several = [(s, "shared") if i in (7, 8) else s for i, s in enumerate(table.subjects)]
    learner = case.make().fit(table.X, table.y, subjects=several)
    plan = learner.plan(subjects=["shared"])
    assert plan.n_removed == 2
    learner.forget(subjects=["shared"])
    with pytest.raises(UnknownSubject):
        learner.plan(subjects=["shared"])
    rest = table.without({7, 8})
    assert agree(learner, rest.fit(case.make()))


@every
def test_names_are_nowhere_in_what_is_saved_or_held(case: Case, tmp_path: Path) -> None:
    table = case.data(5, 60)
    named = [f"Wilhelmina-{s}" for s in table.subjects]
    records = [f"file-{i}-of-someone" for i in range(60)]
    learner = case.make().fit(table.X, table.y, subjects=named, records=records)
    learner.forget(records=["file-3-of-someone"])
    learner.save(tmp_path / "m")
    held = pickle.dumps(learner) + b"".join(p.read_bytes() for p in (tmp_path / "m").rglob("*") if p.is_file())
    assert b"Wilhelmina" not in held
    assert b"of-someone" not in held
    on_disk = b"".join(p.read_bytes() for p in (tmp_path / "m").rglob("*") if p.is_file())
    assert SALT not in on_disk


@every
def test_the_data_given_is_never_changed(case: Case) -> None:
    table = case.data(6, 60)
    copy = pickle.dumps((table.X, table.y))
    learner = table.fit(case.make())
    learner.forget(records=[0, 1])
    assert pickle.dumps((table.X, table.y)) == copy


@every
def test_a_parameter_changed_after_fit_is_refused_until_it_is_set_back(case: Case) -> None:
    table = case.data(7, 60)
    learner = table.fit(case.make())
    before, asked = learner.digest(), learner.get_params()
    name = next(k for k in sorted(asked) if k not in ("salt", "random_state", "workers", "executor", "estimator"))
    for verb in (learner.plan, learner.forget):
        learner.set_params(**{name: "another"})
        with pytest.raises(NotReady, match=name):
            verb(records=[0])
        learner.set_params(**{name: asked[name]})
        assert learner.digest() == before
    learner.forget(records=[0])


@every
def test_a_fit_that_fails_leaves_the_model_as_it_was(case: Case) -> None:
    table = case.data(8, 60)
    learner = table.fit(case.make())
    before, features = learner.digest(), getattr(learner, "n_features_in_", None)
    X = table.X if isinstance(table.X, list) else np.hstack([table.X[:, :1], table.X])
    with pytest.raises(InvalidData, match="subjects"):
        learner.fit(X, table.y, subjects=["too few"])
    assert getattr(learner, "n_features_in_", None) == features
    assert learner.digest() == before
    learner.forget(records=[0])


@every
def test_of_two_copies_on_disk_the_later_save_cannot_undo_the_earlier(case: Case, tmp_path: Path) -> None:
    table = case.data(9, 60)
    first = table.fit(case.make())
    first.save(tmp_path / "m")
    second = type(first).load(tmp_path / "m", salt=SALT)
    second.forget(records=[1])
    second.save(tmp_path / "m")
    first.forget(records=[2])
    with pytest.raises(AlreadyForgotten, match="1 records"):
        first.save(tmp_path / "m")
    assert type(first).load(tmp_path / "m", salt=SALT).digest() == second.digest()
    first.save(tmp_path / "elsewhere")  # the control: only there it is refused
    first.forget(records=[1])
    first.save(tmp_path / "m")
    table.fit(case.make()).save(tmp_path / "m")  # nor is a new fit, whose rows have numbers of their own


@pytest.mark.parametrize(
    "case", [c for name, c in CASES.items() if name not in SLOW], ids=[name for name in CASES if name not in SLOW]
)
def test_an_interrupt_anywhere_leaves_the_old_model_or_the_new(case: Case) -> None:
    """At the last lines, where what was learned, the rows and their names change one after another."""
    table = case.data(2, 60)
    old, new = table.fit(case.make()), table.fit(case.make())
    lines = _lines_until(new, None)
    for at in range(max(1, lines - 24), lines + 1):
        learner = table.fit(case.make())
        with pytest.raises(KeyboardInterrupt):
            _lines_until(learner, at)
        if learner.n_records == 60:
            assert agree(learner, old)
            learner.forget(records=[5])
        assert agree(learner, new)


def _lines_until(learner: Any, interrupt: int | None) -> int:
    """Forget a record; interrupted at this line of what all learners share, if one is given. How many lines it took."""
    lines = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.endswith(str(Path("_learner", "learner.py"))):
            return None
        lines += event == "line"
        if event == "line" and lines == interrupt:
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        learner.forget(records=[5])
    finally:
        sys.settrace(None)
    return lines


def test_a_salt_or_a_seed_of_another_type_is_refused() -> None:
    table = numbers(0, 20)
    for salt in ("text", b"", 7, bytearray(b"salt")):
        with pytest.raises(InvalidParameter, match="salt"):
            GaussianNB(salt=salt).fit(table.X, table.y)  # type: ignore[arg-type]
    for seed in ("text", 2**63, 1.5, np.random.default_rng(0)):
        with pytest.raises(InvalidParameter, match="random_state"):
            Forest(trees=1, random_state=seed).fit(table.X, table.y)


@pytest.mark.parametrize("learner", [GaussianNB, KNeighbors, Forest])
def test_of_two_zeros_as_labels_or_values_neither_is_up_to_a_record_that_left(learner: Any) -> None:
    X, y = np.zeros((40, 2)), np.tile([0.0, 1.0], 20)
    X[:, 1] = np.arange(40)
    for sign in (-1.0, 1.0):
        X[0], y[0] = sign * 0.0, sign * 0.0
        X[1:10, 0] = -sign * 0.0
        y[2:10:2] = -sign * 0.0
        model = learner(salt=SALT).fit(X, y)
        model.forget(records=[0, 4])
        assert model.digest() == learner(salt=SALT).fit(np.delete(X, [0, 4], 0), np.delete(y, [0, 4])).digest()
