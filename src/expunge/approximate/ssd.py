"""Selective synaptic dampening: shrink the weights that matter to the forget set far more than to the rest.

Source: Foster, Schoepf, Brintrup (2024), arXiv:2308.07707, eq. 7 and 8; without labels: Foster et al., arXiv:2402.19308.
Differs from the authors' program: importances are means of per-row squared gradients, not of batches' squared gradients,
and the forget set is compared with the retain set, not with both together. Per row, a mean over both is at least the forget
set's share of its own, so that no weight of a class of ten could ever exceed alpha = 10; and it would hold deleted data.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._method import Method
from expunge.approximate._probe import probe
from expunge.approximate._registry import methods
from expunge.approximate._strongest import PROBE, changeable, forget_loss
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine.row_gradients import mean_over_rows


@methods.add
@dataclass(frozen=True, kw_only=True)
class SSD(Method):
    """No training: weights whose importance to the forget set exceeds `alpha` times that to the others are scaled down.

    `label_free`: importance from the norm of what the model says (|d ||logits||^2|) instead of the labels' loss. Both are
    brittle: one class at the defaults can cost most of another (a published model card: 12.5 % retained), therefore
    `settings.guard` ends the edit with an error, not with a wrecked model.

    Raises: InvalidParameter, where the share of right answers on retained rows falls below `settings.guard` of what it was;
    with adapters, or where `settings.modules` names no weight.
    """

    alpha: float = 10.0
    scale: float = 1.0  # lambda
    label_free: bool = False

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.scale <= 0:
            raise InvalidParameter(f"alpha and scale must be > 0, got alpha={self.alpha}, scale={self.scale}")

    def edit(self, work: Work) -> list[float]:
        weights = changeable(work)
        loss, of = (_norm, torch.abs) if self.label_free else (_cross_entropy, torch.square)
        forget, retain = (mean_over_rows(work.model, work.side, side, loss, of) for side in (work.forget, work.retain))
        rows = probe(work.retain, PROBE, work.settings.seed)
        before, forgotten, damped, total = work.accuracy(rows), forget_loss(work), 0, 0
        with torch.no_grad():
            for name, p in weights.items():
                factor = dampening(forget[name], retain[name], self.alpha, self.scale)
                p.mul_(factor)
                damped, total = damped + int((factor < 1).sum()), total + p.numel()
        after, least = work.accuracy(rows), work.settings.guard
        if least is not None and after < least * before:
            raise InvalidParameter(
                f"dampening {damped:,} of {total:,} weights leaves {after:.0%} of retained answers right, {before:.0%} "
                f"before; raise alpha ({self.alpha:g}), or pass guard=None to accept it"
            )
        work.notes.append(
            f"{damped:,} of {total:,} weights dampened; retained answers right: {before:.1%}, {after:.1%}"
        )
        return [forgotten, forget_loss(work)]


def dampening(forget: Tensor, retain: Tensor, alpha: float, scale: float) -> Tensor:
    """What each weight is multiplied by: min(scale I_r / I_f, 1) where I_f > alpha I_r, elsewhere 1.

    >>> dampening(torch.tensor([30.0, 30.0]), torch.tensor([1.0, 10.0]), alpha=10.0, scale=3.0)
    tensor([0.1000, 1.0000])
    """
    factor = (scale * retain / forget).clamp(max=1.0)
    return torch.where(forget > alpha * retain, factor, torch.ones_like(factor))


def _cross_entropy(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    return F.cross_entropy(logits_NV, labels_N)


def _norm(logits_NV: Tensor, _labels_N: Tensor) -> Tensor:
    return logits_NV.square().sum()
