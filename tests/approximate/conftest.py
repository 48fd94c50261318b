from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.approximate import Edit
from expunge.approximate._work import Work
from expunge.engine import Schedule, examples, train


@dataclass(frozen=True)
class Blobs:
    """Three clouds in six dimensions and a small network that tells them apart; the third one leaves. Never change it."""

    model: Any
    forget: Any
    retain: Any
    holdout: Any  # of the third cloud, never trained on

    def work(self, **settings: Any) -> Work:
        import copy

        return Work(copy.deepcopy(self.model), None, self.forget, self.retain, Edit(**settings))


def cloud(n: int, seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return torch.randn(n, 6, generator=draw) + 2.5 * F.one_hot(y, 6), y


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    x, y = cloud(240, 0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3))
    train(list(model.parameters()), lambda _: F.cross_entropy(model(x), y), 150, Schedule(lr=1e-2))
    new_x, new_y = cloud(120, 1)
    parts = [(x[y == 2], y[y == 2]), (x[y != 2], y[y != 2]), (new_x[new_y == 2], new_y[new_y == 2])]
    return Blobs(model.eval(), *(examples(*part) for part in parts))
