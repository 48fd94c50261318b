"""Saliency unlearning: any loss, but only the weights that the forget set's gradient is largest on may move.

Source: Fan, Liu, Zhang, Wong, Wei, Liu (2024), arXiv:2310.12508, eq. 3 and 4.
Masked weights keep their bits: weight decay and momentum would move them although their gradient is zero (repaired in the
authors' program in February 2026, issue 33), so the engine puts them back after every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from expunge.approximate._method import Method, Objective
from expunge.approximate._registry import methods
from expunge.approximate._work import Work
from expunge.approximate.relabel import Relabel
from expunge.core.errors import InvalidParameter


@methods.add
@dataclass(frozen=True, kw_only=True)
class SalUn(Method):
    """Run `inner`, a method with a loss, on the `share` of weights with the largest saliency, over the whole model.

    The saliency is |d loss(forget set) / d weight| of the original model. The default inner method is the paper's: wrong
    labels on the forget set, the usual loss on the retain set.
    """

    inner: Objective = field(default_factory=Relabel)
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InvalidParameter(f"share of weights that may move must lie in (0, 1), got {self.share}")
        if not isinstance(self.inner, Objective):
            raise InvalidParameter(f"SalUn works around a loss; {type(self.inner).__name__} has none")

    def edit(self, work: Work) -> list[float]:
        free = salient(saliency(work), self.share)
        return work.descend(self.inner, name=f"salun_{self.share}", guarded=True, mask=free)


def saliency(work: Work) -> dict[nn.Parameter, Tensor]:
    """|gradient| of the summed loss of all forget rows, for every weight."""
    trained = [p for p in work.model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in trained]
    for k in range(0, len(work.forget), 64):
        loss = -work.side(work.forget[k : k + 64]).logp_N.sum()
        for t, g in zip(total, torch.autograd.grad(loss, trained, allow_unused=True), strict=True):
            if g is not None:
                t += g
    return {p: t.abs() for p, t in zip(trained, total, strict=True)}


def salient(found: Mapping[nn.Parameter, Tensor], share: float) -> dict[nn.Parameter, Tensor]:
    """True for the largest `share` of all values together; of values that tie at the border, the first ones.

    >>> a, b = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))
    >>> list(salient({a: torch.tensor([3.0, 1.0, 0.0]), b: torch.tensor([2.0])}, 0.5).values())
    [tensor([ True, False, False]), tensor([True])]
    """
    flat = torch.cat([value.flatten() for value in found.values()])
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[torch.sort(flat, descending=True, stable=True).indices[: round(share * len(flat))]] = True
    parts = torch.split(chosen, [value.numel() for value in found.values()])
    return {p: part.reshape(value.shape) for (p, value), part in zip(found.items(), parts, strict=True)}
