"""How far one answer would still pull the weights: the norm of its gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from expunge.engine import Encoded, answer_logits, collate


def gradient_norms(model: Any, row: Encoded, spans: Sequence[tuple[int, int]], pad: int = 0) -> list[float]:
    """Norm over *all* parameters together of d(mean NLL of a span)/d(parameters), for each span of one answer.

    Source: the gradient norm of Nasr et al. (2019), arXiv:1812.00910, and of open-unlearning's `gradnorm`, which differs:
    it averages the norms of single tensors, computes them in training mode, where dropout adds noise, and with its sign
    (higher: less likely a member, as here). One forward pass, one backward pass per span.
    The model must be in evaluation mode. Parameters that are frozen count as well, and are frozen again afterwards.
    """
    parameters = list(model.parameters())
    frozen = [p for p in parameters if not p.requires_grad]
    model.requires_grad_(True)
    try:
        logits_NV, labels_N, _ = answer_logits(model, collate([row], pad).to(parameters[0].device))
        nll_N = torch.nn.functional.cross_entropy(logits_NV, labels_N, reduction="none")
        losses = [nll_N[start:end].mean() for start, end in spans]
        return [
            global_norm(torch.autograd.grad(loss, parameters, retain_graph=loss is not losses[-1], allow_unused=True))
            for loss in losses
        ]
    finally:
        for p in frozen:
            p.requires_grad_(False)


def global_norm(gradients: Sequence[Tensor | None]) -> float:
    """Euclidean norm of all tensors as one vector; a parameter that was not used counts as zero.

    >>> global_norm([torch.tensor([3.0]), None, torch.tensor([[0.0, 4.0]])])
    5.0
    """
    norms = [g.float().norm() for g in gradients if g is not None]
    return float(torch.stack(norms).double().norm()) if norms else 0.0
