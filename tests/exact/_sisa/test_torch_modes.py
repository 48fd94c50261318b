"""Modes of torch that a program may set reach no unit, wherever it is trained; what they do not name shows in the canary."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.modes import MODES

from expunge.exact import Sisa, TorchTraining

SALT = b"a salt for tests"


def _build() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))


def _train(module: Any, X: Any, y: Any, epochs: int, seed: int) -> None:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(X.float()), y).backward()
        optimizer.step()


def _model(workers: int = 1) -> Any:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 16)), np.arange(60) % 2
    estimator = TorchTraining(_build, _train)
    return Sisa(estimator, shards=2, epochs=3, classes=[0, 1], workers=workers, salt=SALT).fit(X, y)


@pytest.mark.parametrize("mode", [*MODES, "no gradients"])
def test_a_mode_of_who_asks_changes_no_bit_of_a_unit(mode: str) -> None:
    usual = _model()
    change, back = MODES.get(mode, (lambda: torch.set_grad_enabled(False), lambda: torch.set_grad_enabled(True)))
    try:
        change()
        model = _model()
        assert model.digest() == usual.digest()
        model.forget(records=[3])
    finally:
        back()
    usual.forget(records=[3])
    assert model.digest() == usual.digest()


def test_processes_train_torch_units_to_the_bits_of_this_process() -> None:
    torch.backends.mkldnn.set_flags(False)  # set here after they started, if they did
    try:
        assert _model(workers=2).digest() == _model().digest()
    finally:
        torch.backends.mkldnn.set_flags(True)
