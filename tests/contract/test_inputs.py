"""What every tabular learner makes of data as it comes: orders, types, names and numbers at their limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from expunge.core import Equality
from expunge.core.errors import InvalidData, UnknownSubject
from expunge.exact import GaussianNB
from expunge.testing.tabular import CASES, SALT, Case, Table, numbers

every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
OF_NUMBERS = {name: case for name, case in CASES.items() if getattr(case.data(0, 60).X, "dtype", None) == np.float64}
with_numbers = pytest.mark.parametrize("case", OF_NUMBERS.values(), ids=OF_NUMBERS)
FITS_IN_ORDER = {"k_means"}  # as its docstring says


def _taken(table: Table, order: Any) -> Table:
    X = [table.X[i] for i in order] if isinstance(table.X, list) else table.X[order]
    return Table(X, None if table.y is None else table.y[order], [table.subjects[i] for i in order])


def _forgets(case: Case, table: Table, gone: set[int], **request: Any) -> None:
    model = table.fit(case.make())
    model.forget(**request)
    assert model.equals(table.without(gone).fit(case.make()))


@every
def test_the_order_of_records_changes_nothing_but_where_it_is_said_to(case: Case) -> None:
    table = case.data(5, 60)
    model, other = (t.fit(case.make()) for t in (table, _taken(table, np.random.default_rng(1).permutation(60))))
    same = [u.digest for u in model.units()] == [u.digest for u in other.units()]
    if case.learner in FITS_IN_ORDER:
        assert not same, "then its docstring says too little"
    elif case.equality is Equality.BITWISE:
        assert same
    else:
        for name in ("coef_", "intercept_"):
            np.testing.assert_allclose(getattr(model, name), getattr(other, name), rtol=1e-8, atol=1e-8)


@every
def test_subjects_that_are_numbers_leave_by_number(case: Case) -> None:
    table = case.data(5, 60)
    whole = replace(table, subjects=[int(name[1:]) for name in table.subjects])  # type: ignore[arg-type, misc]
    first = whole.subjects[0]
    _forgets(case, whole, {i for i, s in enumerate(whole.subjects) if s == first}, subjects=[first])


@every
def test_subjects_of_any_script_leave_by_name(case: Case) -> None:
    table = case.data(5, 60)
    named = replace(table, subjects=[f"Zoë 李{name}\N{FAMILY}" for name in table.subjects])
    first = named.subjects[0]
    _forgets(case, named, {i for i, s in enumerate(named.subjects) if s == first}, subjects=[first])


def test_a_subject_that_is_a_float_is_not_the_whole_number() -> None:
    table = numbers(0)
    model = GaussianNB(salt=SALT).fit(table.X, table.y, subjects=[float(i % 9) for i in range(60)])
    with pytest.raises(UnknownSubject, match="Check the spelling; nothing was forgotten"):
        model.plan(subjects=[3])
    assert model.plan(subjects=[3.0]).n_removed == 7


@with_numbers
def test_numbers_of_single_precision_are_forgotten_too(case: Case) -> None:
    table = case.data(5, 60)
    _forgets(case, replace(table, X=table.X.astype(np.float32)), {3, 7}, records=[3, 7])


@with_numbers
def test_zeros_of_both_signs_are_one_number_whichever_stays(case: Case) -> None:
    table = case.data(5, 60)
    X = table.X.copy()
    X[::3, 1], X[1::3, 1] = -0.0, 0.0
    _forgets(case, replace(table, X=X), {3, 7}, records=[3, 7])


@with_numbers
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan], ids=str)
def test_what_is_no_number_is_refused_and_nothing_is_fitted(case: Case, bad: float) -> None:
    table = case.data(2, 60)
    broken = table.X.copy()
    broken[3, 1] = bad
    model = table.fit(case.make())
    before = model.digest()
    with pytest.raises(InvalidData):
        model.fit(broken, table.y, subjects=table.subjects)
    assert model.digest() == before


@with_numbers
def test_two_threads_give_what_one_gives(case: Case) -> None:
    table = case.data(5, 60)
    with threadpool_limits(limits=2):
        model = table.fit(case.make())
        model.forget(records=[3, 7])
    with threadpool_limits(limits=1):
        assert model.equals(table.without({3, 7}).fit(case.make()))
