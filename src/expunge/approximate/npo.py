"""Negative Preference Optimization: make the forget set less likely than the original model finds it.

Source: Zhang, Lin, Bai, Mei (2024), arXiv:2404.05868.  Shapes: B sequences.  Units: nats, summed over answer tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class NPO(TwoSided):
    """Gradient ascent that lets go: the push fades as a sequence becomes less likely, sooner for a larger `beta`."""

    beta: float = 0.1
    retain: Retain = "nll"
    retain_weight: float = 3.0

    @property
    def needs(self) -> tuple[Reference, ...]:
        return (Reference.FORGET_LOGP, *super().needs)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise InvalidParameter(f"beta must be > 0, got {self.beta}; its limit at 0 is 'gradient_ascent'")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield npo_loss(step.forget.logp_B, step.forget.reference_logp_B, self.beta)
        yield from self.retain_term(step)


def npo_loss(logp_B: Tensor, reference_logp_B: Tensor, beta: float) -> Tensor:
    """2/beta * log(1 + (p / p_ref)^beta), averaged over the batch.

    >>> import torch
    >>> logp_B = torch.tensor([-3.0, -5.0])
    >>> npo_loss(logp_B, logp_B, beta=1.0)  # nothing forgotten yet: 2 ln 2
    tensor(1.3863)
    """
    # softplus is log(1 + e^x) without overflow when the model still likes the forget set.
    return 2 / beta * F.softplus(beta * (logp_B - reference_logp_B)).mean()
