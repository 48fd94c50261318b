"""Retrain: start over from new weights, on the retained rows alone. What every other method is measured against."""

import math
from dataclasses import dataclass

import torch

from expunge.approximate._inner import needs_every_weight
from expunge.approximate._likelihood import Likelihood
from expunge.approximate._method import Method
from expunge.approximate._registry import methods
from expunge.approximate._settings import Shape
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine import derived_seed


@methods.add
@dataclass(frozen=True, kw_only=True)
class Retrain(Method):
    """New weights, `epochs` passes over the retained rows; without them, the settings' number of steps.

    The result does not depend on the given model's weights or on the forget rows (test_retrain). It is still EMPIRICAL
    here: it begins from random weights of the same architecture, so that a model that was fine-tuned from another loses
    what it had before, and nothing records the recipe for a replay. `expunge forget` with units rebuilds exactly.

    Raises: InvalidParameter, with adapters or `modules`: what is not trained would stay random.
    """

    epochs: float | None = None
    lr: float | None = None
    shape: Shape = "cosine"

    def __post_init__(self) -> None:
        check_epochs(self.epochs)

    def edit(self, work: Work) -> list[float]:
        return train_anew(work, steps_of(work, self.epochs), self.lr, self.shape)


def train_anew(work: Work, steps: int, lr: float | None, shape: Shape) -> list[float]:
    """Replace every weight by a new one and train on what is retained."""
    needs_every_weight(work, "retraining")
    seed = derived_seed(b"expunge/retrain/v1", work.settings.seed)
    with torch.no_grad():
        work.model.load_state_dict(work.fresh(seed).state_dict())
    return work.descend(Likelihood("retain"), name="retrained", forget=(), steps=steps, lr=lr, shape=shape, anew=True)


def steps_of(work: Work, epochs: float | None) -> int:
    """Steps of so many passes over the retained rows."""
    if epochs is None:
        return int(work.settings.steps)
    return max(1, round(epochs * math.ceil(len(work.retain) / int(work.settings.retain_batch))))


def check_epochs(epochs: float | None) -> None:
    if epochs is not None and epochs <= 0:
        raise InvalidParameter(f"epochs must be > 0, or None for the settings' steps, got {epochs}")
