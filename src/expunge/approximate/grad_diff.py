"""Gradient difference: ascend on the forget set while descending on the retain set.

Source: Liu, Liu, Stone (2022), arXiv:2203.12817; as used for language models in Maini et al. (2024), arXiv:2401.06121.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, check_retain, last_block, retain_loss, retain_needs
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class GradDiff:
    """`retain_weight` times the retain loss minus the forget loss. The first is bounded, the second is not."""

    retain: Retain = "nll"
    retain_weight: float = 1.0
    guarantee: ClassVar[Guarantee] = Guarantee.EMPIRICAL

    block = last_block

    @property
    def needs(self) -> tuple[Reference, ...]:
        return retain_needs(self.retain)

    def __post_init__(self) -> None:
        check_retain(self.retain, self.retain_weight)
        if not self.retain_weight:
            raise InvalidParameter("retain_weight must be > 0, got 0; at 0 it is 'gradient_ascent'")

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield -step.forget.nll
        yield self.retain_weight * retain_loss(step, self.retain)
