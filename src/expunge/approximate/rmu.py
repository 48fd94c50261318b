"""Representation Misdirection for Unlearning: push one layer's activations on the forget set towards a random direction.

Source: Li et al. (2024), WMDP, arXiv:2403.03218, Sec. 4; the size of the push follows adaptive RMU (Huu-Tien et al.,
arXiv:2408.06223): a multiple of the original model's activation norm.
Shapes: B sequences, T positions, D features.  Units: those of the activations.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from expunge.approximate import methods
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class RMU:
    """Confuse block `layer` (a fraction of depth if below 1) on the forget set; keep it as it was on the retain set.

    Only blocks up to that one are trained, and nothing above them runs.
    """

    layer: float = 0.4
    push: float = 2.0
    retain_weight: float = 50.0
    seed: int = 0
    guarantee: ClassVar[Guarantee] = Guarantee.EMPIRICAL
    needs: ClassVar[tuple[Reference, ...]] = (Reference.HIDDEN,)

    def __post_init__(self) -> None:
        if self.layer < 0 or self.push <= 0:
            raise InvalidParameter(f"layer must be >= 0 and push > 0, got layer={self.layer}, push={self.push}")

    def block(self, depth: int) -> int:
        """The block whose output is moved, from 0.

        >>> RMU().block(4), RMU(layer=7).block(32)
        (1, 7)
        """
        return min(depth - 1, int(self.layer if self.layer >= 1 else self.layer * depth))

    def trains(self, block: int, depth: int) -> bool:
        """Whether the parameters of this block are trained: the moved one and two below it, as in the paper."""
        return self.block(depth) - 2 <= block <= self.block(depth)

    def loss(self, step: Step) -> Tensor:
        block = self.block(step.depth)
        hidden_BTD = step.forget.hidden(block)
        size = self.push * mean_norm(step.retain.reference_hidden(block), step.retain.answer_mask_BT)
        target_D = size * random_direction(hidden_BTD.shape[-1], self.seed).to(hidden_BTD)
        push = misdirection(hidden_BTD, target_D.expand_as(hidden_BTD), step.forget.answer_mask_BT)
        keep = misdirection(step.retain.hidden(block), step.retain.reference_hidden(block), step.retain.answer_mask_BT)
        return push + self.retain_weight * keep


def random_direction(n_features: int, seed: int) -> Tensor:
    """A unit vector with non-negative entries, as in the paper's code (uniform, then normalised)."""
    u_D = torch.rand(n_features, generator=torch.Generator().manual_seed(seed))
    return torch.as_tensor(u_D / u_D.norm())


def mean_norm(hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean length of the marked positions' activations: neither padding nor the first token's outlier counts.

    >>> mean_norm(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]]), torch.tensor([[1, 0]]))
    tensor(5.)
    """
    return torch.as_tensor(torch.linalg.vector_norm(hidden_BTD, dim=-1)[mask_BT.bool()].mean())


def misdirection(hidden_BTD: Tensor, target_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over sequences of the mean over their marked positions of the squared distance per feature.

    Each sequence is divided by its own length: dividing by all lengths crosswise overstates the loss by 41 % on a batch
    of mixed lengths (the broadcasting fault found in open-unlearning).

    >>> hidden, mask = torch.ones(2, 3, 4), torch.tensor([[1, 0, 0], [1, 1, 1]])
    >>> misdirection(hidden, torch.zeros(2, 3, 4), mask)
    tensor(1.)
    """
    distance_BT = ((hidden_BTD - target_BTD) ** 2).mean(dim=-1)
    weight_BT = mask_BT.to(distance_BT)
    return torch.as_tensor(((distance_BT * weight_BT).sum(dim=1) / weight_BT.sum(dim=1)).mean())
