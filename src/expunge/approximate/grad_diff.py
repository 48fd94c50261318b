"""Gradient difference: ascend on the forget set while descending on the retain set.

Source: Liu, Liu, Stone (2022), arXiv:2203.12817; as used for language models in Maini et al. (2024), arXiv:2401.06121.
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
class GradDiff(TwoSided):
    """`retain_weight` times the retain loss minus the forget loss. The first is bounded, the second is not."""

    retain: Retain = "nll"
    retain_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.retain_weight:
            raise InvalidParameter("retain_weight must be > 0, got 0; at 0 it is 'gradient_ascent'")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield -step.forget.nll
        yield from self.retain_term(step)
