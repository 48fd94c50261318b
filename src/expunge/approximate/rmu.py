"""Representation Misdirection for Unlearning: push one layer's activations on the forget set towards a random direction.

Source: Li et al. (2024), WMDP, arXiv:2403.03218, Sec. 4; adaptive RMU: Huu-Tien et al., arXiv:2408.06223, Sec. 5.
Shapes: N answer tokens of all sequences, D features.  Units: those of the activations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from expunge.approximate._method import Objective
from expunge.approximate._registry import methods
from expunge.approximate._retain import check_weight
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step, by_row_mean


@methods.add
@dataclass(frozen=True, kw_only=True)
class RMU(Objective):
    """Confuse block `layer` (a fraction of depth if below 1) on the forget set; keep it as it was on the retain set.

    The target's length is `push` times the original activations' mean norm on the retained rows ("retained"), each
    token's own norm ("forgotten": adaptive RMU), or `push` itself ("given": as first published). Only blocks up to that
    one are trained, and nothing above them runs.
    """

    layer: float = 0.4
    push: float = 2.0
    size: Literal["retained", "forgotten", "given"] = "retained"
    retain_weight: float = 50.0
    seed: int = 0

    @property
    def needs(self) -> tuple[Reference, ...]:
        retain = (Reference.RETAIN_HIDDEN,) if self.retain_weight or self.size == "retained" else ()
        return (*retain, *((Reference.FORGET_HIDDEN,) if self.size == "forgotten" else ()))

    def __post_init__(self) -> None:
        if self.layer < 0 or self.push <= 0:
            raise InvalidParameter(f"layer must be >= 0 and push > 0, got layer={self.layer}, push={self.push}")
        check_weight(self.retain_weight)

    def block(self, depth: int) -> int:
        """The block whose output is moved, from 0.

        >>> RMU().block(4), RMU(layer=7).block(32)
        (1, 7)
        """
        return min(depth - 1, int(self.layer if self.layer >= 1 else self.layer * depth))

    def trained_blocks(self, depth: int) -> range:
        """The moved block and two below it, as in the paper."""
        return range(self.block(depth) - 2, self.block(depth) + 1)

    def loss(self, step: Step) -> Iterator[Tensor]:
        block = self.block(step.depth)
        hidden_ND = step.forget.hidden_ND(block)
        direction_D = random_direction(hidden_ND.shape[-1], self.seed).to(hidden_ND)
        target_ND = self.push * self._length(step, block) * direction_D
        yield misdirection(hidden_ND, target_ND, step.forget.answer_row_N)
        if self.retain_weight:
            reference_ND = step.retain.reference_hidden_ND(block)
            yield self.retain_weight * misdirection(
                step.retain.hidden_ND(block), reference_ND, step.retain.answer_row_N
            )

    def _length(self, step: Step, block: int) -> Any:
        """Of the target, in parts of `push`: one for all tokens, or one for each, [N, 1]."""
        match self.size:
            case "retained":
                return step.retain.reference_hidden_ND(block).norm(dim=-1).mean()
            case "forgotten":
                return step.forget.reference_hidden_ND(block).norm(dim=-1, keepdim=True)
            case "given":
                return 1.0


def random_direction(n_features: int, seed: int) -> Tensor:
    """A unit vector with non-negative entries, as in the paper's code (uniform, then normalised)."""
    u_D = torch.rand(n_features, generator=torch.Generator().manual_seed(seed))
    return torch.as_tensor(u_D / u_D.norm())


def misdirection(hidden_ND: Tensor, target_ND: Tensor, row_N: Tensor) -> Tensor:
    """Mean over sequences of the mean over their answer tokens of the squared distance per feature.

    Each sequence is divided by its own length: dividing by all lengths crosswise overstates the loss by 41 % on a batch
    of mixed lengths (the broadcasting fault found in open-unlearning).

    >>> misdirection(torch.ones(4, 8), torch.zeros(8), torch.tensor([0, 1, 1, 1]))
    tensor(1.)
    """
    distance_N = ((hidden_ND - target_ND) ** 2).mean(dim=-1)
    return by_row_mean(distance_N, row_N, int(row_N.max()) + 1)
