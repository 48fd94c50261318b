"""Round the weights to eight or four bits and ask again: an edit smaller than the rounding step is undone by it.

Source: Zhang et al. (2024), "Catastrophic failure of LLM unlearning via quantization", arXiv:2410.16454. The four-bit
normal float is that of Dettmers et al. (2023), QLoRA, arXiv:2305.14314, Sec. 3 and App. E.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Quantise:
    """Every linear layer is rounded to nearest, the vocabulary head (and embeddings tied to it) among them.

    `formats` are those that deployments use; each is a setting: int8 and int4 with one scale a row, int4 with one scale
    for 32 inputs, NF4 with one scale for 64 weights. The scales stay in the weights' own precision (no double
    quantisation), and activations are not rounded.
    """

    formats: tuple[str, ...] = ("int8, rows", "int4, rows", "int4, groups of 32", "nf4, blocks of 64")
    family: ClassVar[str] = "perturbation"

    def run(self, target: Target, probes: Probes) -> Scores:
        return {name: self._rounded(target, ROUNDING[name]).recalls(probes.forget) for name in self.formats}

    @torch.no_grad()
    def _rounded(self, target: Target, rounding: Callable[[Tensor], Tensor]) -> Target:
        victim = target.copy()
        for module in victim.model.modules():
            if isinstance(module, nn.Linear):
                module.weight.copy_(rounding(module.weight))
            elif isinstance(module, Conv1D):  # GPT-2's linear layer, stored the other way round
                module.weight.copy_(rounding(module.weight.T).T)
        return victim


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


def nf4(weight_OI: Tensor, block: int = 64) -> Tensor:
    """The nearest of sixteen values, times the largest magnitude in each run of `block` weights, row after row.

    >>> nf4(torch.tensor([[2.0, 0.0, -1.0, 0.35]]))
    tensor([[ 2.0000,  0.0000, -1.0501,  0.3219]])
    """
    code = torch.tensor(nf4_values(), device=weight_OI.device)
    parts = F.pad(weight_OI.float().flatten(), (0, -weight_OI.numel() % block)).reshape(-1, block)
    scale = parts.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12)
    nearest = torch.bucketize(parts / scale, (code[1:] + code[:-1]) / 2)
    return torch.as_tensor(
        (code[nearest] * scale).flatten()[: weight_OI.numel()].reshape(weight_OI.shape).to(weight_OI)
    )


def nf4_values(offset: float = 0.9677083) -> list[float]:
    """The sixteen values of NF4: normal quantiles, eight up to zero and nine from zero, which they share, scaled to ±1.

    Source: QLoRA, Sec. 3 and the list of App. E, which comes out at this `offset`, the outermost probability.

    >>> [round(v, 4) for v in nf4_values()][:3], len(nf4_values())
    ([-1.0, -0.6962, -0.5251], 16)
    """
    half = NormalDist().inv_cdf
    positive = [half(offset + (0.5 - offset) * i / 8) for i in range(8)]
    negative = [-half(offset + (0.5 - offset) * i / 7) for i in range(7)]
    return sorted(v / positive[0] for v in (*positive, 0.0, *negative))


ROUNDING: Mapping[str, Callable[[Tensor], Tensor]] = {
    "int8, rows": partial(rounded, bits=8),
    "int4, rows": partial(rounded, bits=4),
    "int4, groups of 32": partial(rounded, bits=4, group=32),
    "nf4, blocks of 64": nf4,
}
