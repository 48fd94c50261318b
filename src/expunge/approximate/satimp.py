"""SatImp: ascend most on tokens that are not forgotten yet (saturation) and that carry something (importance).

Source: Yang et al. (2025), arXiv:2505.11953, Sec. 5.  Shapes: N answer tokens.  Units: nats a token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class SatImp(TwoSided):
    """Gradient ascent in which a token of probability p counts p^beta1 * (1 - p)^beta2."""

    beta1: float = 5.0
    beta2: float = 1.0
    retain: Retain = "nll"
    retain_weight: float = 0.3  # small: what is known by heart is hardly pushed at first

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta1 < 0 or self.beta2 < 0:
            raise InvalidParameter(f"beta1 and beta2 must be >= 0, got {self.beta1} and {self.beta2}")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield satimp_loss(step.forget.logp_N, self.beta1, self.beta2)
        yield from self.retain_term(step)


def satimp_loss(logp_N: Tensor, beta1: float, beta2: float) -> Tensor:
    """p^beta1 * (1 - p)^beta2 * log p, averaged over tokens; the weight is a constant.

    A token that is known by heart (p near 1) counts almost nothing at first, and most at p = beta1 / (beta1 + beta2).

    >>> satimp_loss(torch.tensor([0.5]).log(), beta1=1.0, beta2=1.0)  # 0.25 ln 0.5
    tensor(-0.1733)
    """
    fixed_N = logp_N.detach()
    weight_N = (beta1 * fixed_N).exp() * (-torch.expm1(fixed_N)) ** beta2  # expm1: 1 - p without cancellation
    return (weight_N * logp_N).mean()
