"""Ridge and logistic regression on columns that are hard for them: right, or refused by fit and forget alike.

The small twin of `bench/exact_equality.py`, which has 1,600 sequences a learner and compares with exact arithmetic, too.
"""

from typing import Any

import numpy as np
import pytest

from expunge.core.errors import InvalidData
from expunge.testing.awkward import KINDS, LEARNERS, Awkward

SALT = b"a salt for tests, known to all"


def _deleted(case: Awkward) -> tuple[Any, int]:
    """The model after its deletions, or None; and at which of them it was refused, the fit being 0."""
    model = case.make(SALT)
    for step in range(len(case.asked) + 1):
        try:
            if step:
                model.forget(records=list(case.asked[step - 1]))
            else:
                model.fit(case.X, case.y)
        except InvalidData:
            return None, step
    return model, -1


def _refit(case: Awkward) -> tuple[Any, int]:
    model = None
    for step in range(len(case.asked) + 1):
        left = case.left(step)
        try:
            model = case.make(SALT).fit(case.X[left], case.y[left], records=left.tolist())
        except InvalidData:
            return None, step
    return model, -1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_deletion_equals_a_fit_or_is_refused_where_a_fit_is(learner: str, kind: str) -> None:
    cases = [case for case in (Awkward.of(learner, seed) for seed in range(120)) if case.kind == kind]
    must, answered = 0, 0
    for case in cases:
        (model, refused), (fresh, refused_too) = _deleted(case), _refit(case)
        assert refused == refused_too
        must, answered = must + case.must_be_answered, answered + (case.must_be_answered and model is not None)
        if model is not None:
            ours, theirs = model._fitted().learned, fresh._fitted().learned
            for name in ("coef_", "intercept_"):
                a, b = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
                least = theirs.least().get(name.removesuffix("_"), 0.0)
                assert np.abs(a - b).max() <= 1e-10 * max(np.abs(b).max(), least)
    assert answered >= 0.95 * must


def test_ridge_is_right_to_the_last_digits_on_each_of_them() -> None:
    """Against 19 digits on centred columns; the bench compares with fractions."""
    worst = 0.0
    for seed in range(80):
        case = Awkward.of("ridge", seed)
        model, _ = _deleted(case)
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
