"""Round the weights to four bits and ask again: an edit smaller than the rounding step is undone by it.

Source: Zhang et al. (2024), "Catastrophic failure of LLM unlearning via quantization", arXiv:2410.16454.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Quantise:
    """Round to nearest, symmetric, one scale for each output row and group of `group` inputs."""

    bits: int = 4
    groups: tuple[int, ...] = (0, 32)  # 0: one scale a row
    family: ClassVar[str] = "white box"

    def run(self, target: Target, probes: Probes) -> Scores:
        scores: Scores = {}
        for group in self.groups:
            victim = target.copy()
            with torch.no_grad():
                for module in victim.model.modules():
                    if isinstance(module, nn.Linear):
                        module.weight.copy_(rounded(module.weight, self.bits, group))
                    elif isinstance(module, Conv1D):  # GPT-2's linear layer, stored the other way round
                        module.weight.copy_(rounded(module.weight.T, self.bits, group).T)
            scores[f"int{self.bits}, {f'groups of {group}' if group else 'rows'}"] = victim.recalls(probes.forget)
        return scores


def rounded(weight_OI: Tensor, bits: int, group: int = 0) -> Tensor:
    """The nearest of 2^bits - 1 evenly spaced values, per row and group of inputs; the last group may be shorter.

    >>> rounded(torch.tensor([[0.7, -0.34, 0.02]]), bits=4)
    tensor([[ 0.7000, -0.3000,  0.0000]])
    """
    n_out, n_in = weight_OI.shape
    width = group or n_in
    parts = F.pad(weight_OI, (0, -n_in % width)).reshape(n_out, -1, width)
    scale = parts.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
    return torch.as_tensor(((parts / scale).round() * scale).reshape(n_out, -1)[:, :n_in])
