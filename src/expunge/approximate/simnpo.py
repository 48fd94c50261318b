"""SimNPO: NPO without a reference model. What counts is how likely a token of the answer is, not how much less than before.

Source: Fan et al. (2024), arXiv:2410.07163, Eq. 4.  Shapes: B sequences.  Units: nats, averaged over a sequence's tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class SimNPO(TwoSided):
    """Push until each answer's tokens are less likely than `gamma` asks for. A row's length does not count."""

    beta: float = 2.5
    gamma: float = 0.0
    retain: Retain = "nll"
    retain_weight: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise InvalidParameter(f"beta must be > 0, got {self.beta}; its limit at 0 is 'gradient_ascent'")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield simnpo_loss(step.forget.logp_B, step.forget.length_B, self.beta, self.gamma)
        yield from self.retain_term(step)


def simnpo_loss(logp_B: Tensor, length_B: Tensor, beta: float, gamma: float = 0.0) -> Tensor:
    """-2/beta * log sigmoid(beta * nll/|y| - gamma), averaged over the batch.

    As in the paper, `gamma` stands outside of `beta`. Open-unlearning computes beta * (nll/|y| - delta) (its issue 123):
    its `delta` is gamma / beta here, and the two agree only at 0.

    >>> import torch
    >>> logp_B, length_B = torch.tensor([-8.0, -2.0]), torch.tensor([4.0, 1.0])
    >>> simnpo_loss(logp_B, length_B, beta=1.0, gamma=2.0)  # two nats a token in both rows: 2 ln 2
    tensor(1.3863)
    """
    # -log sigmoid(x) is softplus(-x), without overflow.
    return 2 / beta * F.softplus(gamma + beta * logp_B / length_B).mean()
