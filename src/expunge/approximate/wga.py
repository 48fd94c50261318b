"""Weighted gradient ascent: ascend most where the model is still sure, so that what is forgotten is left alone.

Source: Wang et al. (2025), arXiv:2502.19301, Sec. 5.  Shapes: N answer tokens.  Units: nats a token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class WGA(TwoSided):
    """Gradient ascent in which a token of probability p counts p^beta."""

    beta: float = 1.0
    retain: Retain = "nll"
    retain_weight: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise InvalidParameter(f"beta must be > 0, got {self.beta}; at 0 it is 'grad_diff'")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield wga_loss(step.forget.logp_N, self.beta)
        yield from self.retain_term(step)


def wga_loss(logp_N: Tensor, beta: float) -> Tensor:
    """p^beta * log p, averaged over tokens.

    The weight is a constant: were it differentiated too, p^beta * log p would have its minimum at p = exp(-1 / beta), and
    with beta 1 no token would fall below 0.37.

    >>> import torch
    >>> wga_loss(torch.tensor([0.5, 0.25]).log(), beta=1.0)  # (0.5 ln 0.5 + 0.25 ln 0.25) / 2
    tensor(-0.3466)
    """
    return ((beta * logp_N.detach()).exp() * logp_N).mean()
