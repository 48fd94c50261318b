"""Coordinates: exact there and back, centred where the records that count are."""

import numpy as np

from expunge.exact._logistic.frame import Frame
from expunge.exact._logistic.objective import Objective, Records


def _framed(X: np.ndarray, W: np.ndarray, ridge: float = 1.0) -> Frame:
    """The frame that the curvature at these weights asks for, from that of the rows."""
    records = Records(X, np.zeros(len(X), dtype=np.int32), np.ones(len(X), dtype=bool))
    objective = Objective(1, ridge, True, False, Frame.about(X, True, 1e-3))
    for _ in range(4):
        objective = objective.reframed(objective.loss_curvature(objective.frame.inside(W), records))
    return objective.frame


def test_weights_go_there_and_back_without_a_bit_lost() -> None:
    rng = np.random.default_rng(0)
    frame = Frame.rounded(rng.normal(size=5) * 1e6, 10.0 ** rng.uniform(-6, 6, size=5), 1e-9)
    W = rng.normal(size=(3, 6))
    np.testing.assert_array_equal(frame.outside(frame.inside(W))[:, :-1], W[:, :-1])
    assert np.abs(frame.outside(frame.inside(W)) - W).max() <= 1e-15 * np.abs(W[:, :-1] * frame.centre).max()


def test_the_centre_of_a_constant_column_is_the_constant() -> None:
    X = np.random.default_rng(1).normal(size=(60, 3))
    X[:, 1] = 1234567.1
    frame = _framed(X, np.zeros((1, 4)))
    assert frame.centre[1] == 1234567.1
    assert not frame.of(X)[:, 1].any()


def test_a_value_far_out_moves_nothing_once_the_model_is_certain_of_it() -> None:
    X = np.random.default_rng(2).normal([5.0, 0.0], size=(60, 2))
    without = _framed(X, np.array([[0.3, 0.0, 0.0]]))
    X[7, 0] = 1e8
    certain = _framed(X, np.array([[0.3, 0.0, 0.0]]))
    assert certain.same(without)
    uncertain = _framed(X, np.array([[1e-9, 0.0, 0.0]]))
    assert not uncertain.near(without), "the control: of equal weight it is all there is"
