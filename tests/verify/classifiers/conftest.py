"""Small networks on scikit-learn's digits: one class forgotten, mislabelled rows forgotten, a random sample forgotten."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from expunge.engine import Schedule, train
from expunge.verify.classifiers import Rows, Sets


@dataclass(frozen=True)
class World:
    """Three sets of rows and the models made of them."""

    sets: Sets
    models: dict[str, nn.Module] = field(default_factory=dict)

    def rows(self) -> dict[str, Any]:
        return {"forget": self.sets.forget, "retain": self.sets.retain, "holdout": self.sets.holdout}


def net(seed: int, *sizes: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for n_in, n_out in zip((64, *sizes), (*sizes, 10), strict=True):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def fitted(model: Any, rows: Rows, seed: int, steps: int = 200, lr: float = 3e-3) -> Any:
    X, y = torch.tensor(rows.X), torch.tensor(rows.y)
    draw = np.random.default_rng(seed)
    batches = [torch.from_numpy(draw.integers(0, len(y), 64)) for _ in range(steps)]
    train(
        list(model.parameters()),
        lambda k: F.cross_entropy(model(X[batches[k]]), y[batches[k]]),
        steps,
        Schedule(lr=lr, warmup=2),
    )
    return model


@pytest.fixture(scope="session")
def digits() -> Rows:
    """In an order drawn once."""
    given = load_digits()
    order = np.random.default_rng(0).permutation(len(given.target))
    return Rows((given.data[order] / 16).astype(np.float32), given.target[order])


@pytest.fixture(scope="session")
def one_class(digits: Rows) -> World:
    """The fives leave. `hidden` still knows them behind a bias of -10; `wrecked` was pushed uphill until nothing was left."""
    trained, fresh = digits.at(np.arange(1200)), digits.at(np.arange(1200, 1797))
    five, five_fresh = trained.y == 5, fresh.y == 5
    sets = Sets(
        trained.at(np.flatnonzero(five)), trained.at(np.flatnonzero(~five)), fresh.at(np.flatnonzero(five_fresh))
    )
    original = fitted(net(0, 64, 64), trained, seed=0)
    hidden = copy.deepcopy(original)
    hidden[-1].bias.data[5] -= 10
    others = {f"retrained {seed}": fitted(net(seed, 64, 64), sets.retain, seed) for seed in (1, 2, 3, 4)}
    models = {"original": original, "hidden": hidden, "wrecked": uphill(original, sets.forget), **others}
    return World(sets, {**models, "control": others["retrained 1"]})


@pytest.fixture(scope="session")
def mislabelled(digits: Rows) -> World:
    """Rows with wrong labels leave, which only a model that saw them can know. `relabelled` was taught the true ones."""
    draw = np.random.default_rng(7)
    trained = digits.at(np.arange(1200))
    true = trained.y[:150]
    labels = np.concatenate([(true + draw.integers(1, 10, 150)) % 10, trained.y[150:]])
    trained = Rows(trained.X, labels)
    sets = Sets(trained.at(np.arange(150)), trained.at(np.arange(150, 1200)))
    original = fitted(net(0, 256), trained, 0, steps=1200, lr=1e-2)
    control = fitted(net(1, 256), sets.retain, 1, steps=400, lr=1e-2)
    return World(sets, {"original": original, "control": control, "relabelled": relabelled(original, sets, true)})


@pytest.fixture(scope="session")
def random_sample(digits: Rows) -> World:
    """420 rows drawn at random leave, 420 were never trained on; 15 % of all labels are wrong, so there is something to
    memorise, yet a model that never saw them gets most of them right."""
    draw = np.random.default_rng(7)
    noisy = np.where(draw.random(len(digits)) < 0.15, (digits.y + draw.integers(1, 10, len(digits))) % 10, digits.y)
    rows = Rows(digits.X, noisy)
    sets = Sets(*(rows.at(np.arange(a, b)) for a, b in ((0, 420), (840, 1797), (420, 840))))
    trained = rows.at(np.concatenate([np.arange(420), np.arange(840, 1797)]))
    models = {"original": fitted(net(0, 256), trained, 0, steps=1500, lr=5e-3)}
    for name, seed in (("control", 1), ("retrained", 2), ("out", 3)):
        models[name] = fitted(net(seed, 256), sets.retain, seed, steps=1500, lr=5e-3)
    return World(sets, models)


def uphill(original: Any, forget: Rows) -> Any:
    """Gradient ascent on the forgotten rows alone, far too long."""
    model = copy.deepcopy(original)
    X, y = torch.tensor(forget.X), torch.tensor(forget.y)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        (-F.cross_entropy(model(X), y)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def relabelled(original: Any, sets: Sets, true: Any) -> Any:
    """A few steps towards the true labels of the forgotten rows, beside retained ones."""
    model, draw = copy.deepcopy(original), np.random.default_rng(0)
    X, y = torch.tensor(sets.forget.X), torch.tensor(true)
    retain_X, retain_y = torch.tensor(sets.retain.X), torch.tensor(sets.retain.y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        at = torch.from_numpy(draw.integers(0, len(retain_y), 64))
        optimizer.zero_grad()
        (F.cross_entropy(model(X), y) + F.cross_entropy(model(retain_X[at]), retain_y[at])).backward()
        optimizer.step()
    return model
