"""The bound on rounding: above what rounding does, and not far above where columns only look dependent."""

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.objective import Objective, Records
from expunge.exact._logistic.rounding import Rounding, moved_record_by_record
from expunge.exact._logistic.solver import factors_of, newton


def _fitted(X: Any, y: Any, C: float) -> tuple[Objective, Any, Records]:
    K = len(np.unique(y))
    records = Records(X, y.astype(np.int32), np.ones(len(X), dtype=bool))
    frame = Frame.about(X, True, 1 / np.sqrt(C * len(X)))
    objective = Objective(1 if K == 2 else K, 1 / C, True, K > 2, frame, tie=len(X) / K**2 if K > 2 else 0.0)
    V, objective, _ = newton(objective, records)
    return objective, V, records


def _longer_gradient(objective: Objective, V: Any, records: Records) -> Any:
    """The gradient of the losses with 19 digits, written out apart."""
    U = np.column_stack([objective.frame.of(records.X.astype(np.longdouble)), np.ones(len(records.X))])
    Z = U @ V.astype(np.longdouble).T
    if len(V) == 1:
        P = 1 / (1 + np.exp(-Z))
        return (P - (records.codes[:, None] == 1)).T @ U
    return (softmax(Z, axis=1) - (records.codes[:, None] == np.arange(len(V)))).T @ U


def _table(n: int, k: int, seed: int) -> tuple[Any, Any]:
    """Two factors in full (their columns add up to one), and numbers."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [np.eye(4)[rng.integers(4, size=n)], np.eye(3)[rng.integers(3, size=n)], rng.normal(size=(n, 2))]
    )
    Z = X @ rng.normal(size=(X.shape[1], k)) + rng.gumbel(size=(n, k))
    return X, Z.argmax(axis=1)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_rounding_moves_weights_by_less_than_the_bounds_say(k: int, C: float) -> None:
    for seed in range(5):
        objective, V, records = _fitted(*_table(400, k, seed), C)
        factors = factors_of(objective, objective.loss_curvature(V, records), V)
        error = objective.loss_gradient(V, records) - _longer_gradient(objective, V, records).astype(float)
        inverse = np.linalg.inv(objective.penalised(objective.loss_curvature(V, records), V.shape)[0])
        moved = np.abs(inverse @ error.ravel()).reshape(V.shape)
        for bound in (
            Rounding.of(objective, V, records).moved(objective, factors, V),
            moved_record_by_record(objective, factors[0][0], V, records),
        ):
            assert (moved <= bound).all()
            assert bound.max() <= 1e-12 * np.abs(V).max() * C, "and it is no bound that everything keeps"


def test_columns_that_add_up_are_told_apart_from_columns_that_nearly_repeat() -> None:
    X, y = _table(2000, 2, 0)

    def bound(columns: Any) -> float:
        objective, V, records = _fitted(columns, y, 100.0)
        factors = factors_of(objective, objective.loss_curvature(V, records), V)
        return float(Rounding.of(objective, V, records).moved(objective, factors, V).max() / np.abs(V).max())

    nearly = np.column_stack([X, X[:, -1] + 1e-4 * np.random.default_rng(1).normal(size=2000)])
    assert bound(X) <= 1e-11
    assert bound(nearly) >= 1e-14


def test_records_are_taken_out_of_the_sums() -> None:
    objective, V, records = _fitted(*_table(300, 3, 1), 1.0)
    gone = np.arange(40)
    left = Rounding.of(objective, V, records) - Rounding.of(objective, V, records.only(gone))
    rest = Rounding.of(objective, V, records.without(gone))
    assert left.residuals == pytest.approx(rest.residuals, rel=1e-12)
    np.testing.assert_allclose(left.terms, rest.terms, rtol=1e-10, atol=1e-12)
    assert 0 < left.left_of(Rounding.of(objective, V, records)) < 1


def test_a_long_sum_keeps_its_digits() -> None:
    """Sorted by class, so that partial sums grow large."""
    X, y = _table(50_000, 2, 2)
    order = np.argsort(y)
    objective, V, records = _fitted(X[order], y[order], 1.0)
    error = np.abs(objective.loss_gradient(V, records) - _longer_gradient(objective, V, records).astype(float))
    rounding = Rounding.of(objective, V, records)
    residuals = np.sqrt(rounding.residuals * objective.loss_curvature(V, records)[0].diagonal())
    assert (error <= residuals + 4 * np.finfo(float).eps * np.sqrt(rounding.terms)).all()
    # The control: in one long sum, over rows in the frame, the roundings of partial sums alone are more than that.
    U = np.column_stack([objective.frame.of(records.X), np.ones(len(X))])
    rest = 1 / (1 + np.exp(-U @ V[0])) - records.codes
    exact = (rest[:, None].astype(np.longdouble) * U).sum(axis=0)
    in_a_row = np.abs(np.add.accumulate(rest[:, None] * U)[-1] - exact.astype(float))
    assert (in_a_row > 4 * np.finfo(float).eps * np.sqrt(rounding.terms)).any()
