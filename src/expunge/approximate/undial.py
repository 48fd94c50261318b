"""UNDIAL: the model learns from its own former self, with the right word made less likely.

Source: Dong et al. (2024), arXiv:2402.10052, Eq. 3 and 4.  Shapes: N answer tokens, V words.  Units: nats a token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._registry import methods
from expunge.approximate._retain import Retain, TwoSided
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class Undial(TwoSided):
    """A fixed target, the original logits less `beta` at the right word, so the loss is bounded and training ends.

    As published there is no retain term; at `retain_weight` 0 nothing of the retain side is computed. A toy model is
    then wrecked in ten steps, so by default there is one.
    """

    beta: float = 10.0
    retain: Retain = "nll"
    retain_weight: float = 1.0

    @property
    def needs(self) -> tuple[Reference, ...]:
        return (Reference.FORGET_LOGITS, *super().needs)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise InvalidParameter(f"beta must be > 0, got {self.beta}; at 0 the target is the model as it was")

    def loss(self, step: Step) -> Iterator[Tensor]:
        forget = step.forget
        yield undial_loss(forget.logits_NV, forget.reference_logits_NV, forget.labels_N, self.beta)
        yield from self.retain_term(step)


def undial_loss(logits_NV: Tensor, reference_logits_NV: Tensor, labels_N: Tensor, beta: float) -> Tensor:
    """Cross-entropy to softmax(z_reference - beta * onehot(y)), averaged over the answers' tokens.

    Give answer tokens alone: a label of -100 would count from the end of the vocabulary, and prompts would dilute the mean
    (both faults of open-unlearning's UNDIAL).

    >>> import torch
    >>> was, y = torch.tensor([[100.0, 0.0, 0.0]]), torch.tensor([0])
    >>> undial_loss(torch.zeros(1, 3), was, y, beta=200.0)  # the target is uniform over the two others: ln 3
    tensor(1.0986)
    """
    lowered_NV = reference_logits_NV.scatter_add(
        1, labels_N[:, None], reference_logits_NV.new_full((len(labels_N), 1), -beta)
    )
    return F.cross_entropy(logits_NV, lowered_NV.softmax(-1))
