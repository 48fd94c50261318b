"""Latent adversarial training: unlearn while an adversary inside the model brings the forget set back.

Source: Sheshadri et al. (2024), arXiv:2407.15549, Sec. 3; Casper et al. (2024), arXiv:2403.05030.
Shapes: B rows, T positions, D features.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from expunge.approximate._around import Around
from expunge.core.errors import InvalidParameter
from expunge.engine import Step, Trunk, backward


@dataclass(frozen=True)
class Lat(Around):
    """Any loss on what the model says of the forget rows, under the worst change of their states after one block.

    The change makes the forgotten answers as likely as `steps` steps of projected gradient descent can, within a ball about
    every token's state: `epsilon` times the mean length of the states. `layer` is a fraction of depth if below 1; it lies
    below the last block. The blocks up to it run once for all these steps. The retain terms see the model as it is.

    Not guaranteed: that an edit of the same length forgets as much. On a toy model NPO lost 3.5 nats a token under it and
    5.6 alone, but of those 39 % instead of 27 % outlasted an attack four times as strong; with SimNPO little was forgotten.

    Raises: InvalidParameter, for a method that is more than a loss or does not look at the forget rows' words, a model
    with fewer than two blocks, or parameters out of range.
    """

    epsilon: float = 0.05
    steps: int = 4
    layer: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon <= 0 or self.steps < 1 or self.layer < 0:
            raise InvalidParameter(f"epsilon must be > 0, steps >= 1 and layer >= 0, got {self}")

    def gradient(self, step: Step, model: Any) -> float:
        if step.depth < 2:
            raise InvalidParameter(f"Lat changes states between blocks; this model has {step.depth}")
        block = min(step.depth - 2, int(self.layer if self.layer >= 1 else self.layer * step.depth))
        change_BTD = adversary(step, model, block, self.epsilon, self.steps)
        with Trunk.of(model).edited({block: lambda hidden_BTD: hidden_BTD + change_BTD}):
            logits_NV = step.forget.logits_NV  # kept by the side: the method's loss finds it
        reached: list[Tensor] = []
        logits_NV.register_hook(lambda grad_NV: reached.append(grad_NV.new_zeros(())))
        value = backward(self.loss(step))
        if not reached:
            raise InvalidParameter(f"{type(self.method).__name__} does not look at what is said of the forget rows")
        return value


def adversary(step: Step, model: Any, block: int, epsilon: float, n_steps: int) -> Tensor:
    """The change of a block's output, [B, T, D], within the ball, that makes the forget rows likeliest."""
    assert step.again is not None
    caught: list[Tensor] = []
    with torch.no_grad(), Trunk.of(model).edited({block: lambda out_BTD: caught.append(out_BTD) or out_BTD}):  # type: ignore[func-returns-value]
        _ = (side := step.again().forget).logits_NV
    held_BT = side.mask_BT.bool()
    hidden_BTD = caught[0]
    # Over tokens alone: states of padding, which are whatever the model makes of it, would set the size.
    radius = epsilon * torch.linalg.vector_norm(hidden_BTD[held_BT], dim=-1).mean()
    change_BTD = torch.zeros_like(hidden_BTD)
    for _ in range(n_steps):
        change_BTD.requires_grad_(True)
        with Trunk.of(model).from_block(block + 1, hidden_BTD + change_BTD):
            (grad_BTD,) = torch.autograd.grad(step.again().forget.nll, change_BTD, allow_unused=True)
        if grad_BTD is None:
            raise InvalidParameter(
                f"Lat changes block {block}, below all that is trained, where nothing runs; raise layer"
            )
        # Padding has no gradient and stays as it is.
        length_BT1 = torch.linalg.vector_norm(grad_BTD, dim=-1, keepdim=True).clamp(min=1e-30)
        moved_BTD = change_BTD.detach() - 2 / n_steps * radius * grad_BTD / length_BT1
        far_BT1 = torch.linalg.vector_norm(moved_BTD, dim=-1, keepdim=True)
        change_BTD = moved_BTD * (radius / far_BT1.clamp(min=radius.item()))
    return change_BTD
