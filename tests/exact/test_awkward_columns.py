"""Ridge and logistic regression on columns that are hard for them: right, or refused by fit and forget alike.

The small twin of `bench/exact_equality.py`, which has 1,600 sequences a learner and compares with exact arithmetic, too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from expunge.core.errors import InvalidData
from expunge.testing.awkward import KINDS, LEARNERS, Awkward

SALT = b"a salt for tests, known to all"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_deletion_equals_a_fit_or_is_refused_where_a_fit_is(learner: str, kind: str) -> None:
    cases = [case for case in (Awkward.of(learner, seed) for seed in range(120)) if case.kind == kind]
    must, answered = 0, 0
    for case in cases:
        (model, refused), (fresh, refused_too) = case.deleted(SALT), case.fitted(SALT)
        assert refused == refused_too
        must, answered = must + case.must_be_answered, answered + (case.must_be_answered and model is not None)
        if model is not None:
            ours, theirs = model._fitted().learned, fresh._fitted().learned
            for name in ("coef_", "intercept_"):
                a, b = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
                least = theirs.least().get(name.removesuffix("_"), 0.0)
                assert np.abs(a - b).max() <= 1e-10 * max(np.abs(b).max(), least)
    assert answered >= 0.95 * must


@pytest.mark.parametrize("learner", LEARNERS)
def test_an_addition_equals_a_fit_or_is_refused_where_a_fit_is(learner: str) -> None:
    """The requests backwards: a fit of what they leave, to which their records come again; among them those far out."""
    answered = 0
    for case in (Awkward.of(learner, seed) for seed in range(160)):
        held = case.left(len(case.asked)).tolist()
        model = _answered(partial(case.make(SALT).fit, case.X[held], case.y[held]))
        for coming in map(list, reversed(case.asked)):
            if model is None:
                break
            held = held + coming
            fresh = _answered(partial(case.make(SALT).fit, case.X[held], case.y[held]))
            model = _answered(partial(model.add, case.X[coming], case.y[coming]))
            assert (model is None) is (fresh is None), (case.kind, held)
            assert model is None or model.equals(fresh), (case.kind, held)
            answered += model is not None
    assert answered > 200


def _answered(asked: Callable[[], Any]) -> Any:
    try:
        return asked()
    except InvalidData:
        return None


def test_ridge_is_right_to_the_last_digits_on_each_of_them() -> None:
    """Against 19 digits on centred columns; the bench compares with fractions."""
    worst = 0.0
    for seed in range(80):
        case = Awkward.of("ridge", seed)
        model, _ = case.deleted(SALT)
        if model is None or not case.intercept or case.kind == "collinear":
            continue
        left = case.left(len(case.asked))
        A, b = case.X[left].astype(np.longdouble), case.y[left].astype(np.longdouble)
        A, b = A - A.mean(axis=0), b - b.mean()
        coef = model.coef_.astype(np.longdouble)
        gradient = A.T @ (A @ coef - b) + model.alpha * coef
        size = np.sqrt((A**2).sum(axis=0) + model.alpha)
        worst = max(worst, float(np.abs(gradient / size).max() / np.abs(coef * size).max()))
    assert 0 < worst <= 1e-11
