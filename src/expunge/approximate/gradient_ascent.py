"""Gradient ascent: training run backwards on the forget set. It keeps going until the model is wrecked.

Source: Jang et al. (2023), arXiv:2210.01504, without their stopping rule. Here as the honest example of damage.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from expunge.approximate._method import Objective
from expunge.approximate._registry import methods
from expunge.engine import Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class GradientAscent(Objective):
    """Raise the loss of the forget set; nothing protects the rest."""

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield -step.forget.nll
