"""Which shard a question is about: the one whose adapter finds it most likely. All adapters run in one batched pass."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def positions(mask_BT: Tensor) -> Tensor:
    """Position ids of left-padded rows: padding does not count."""
    return (mask_BT.cumsum(dim=-1) - 1).clamp(min=0)


@torch.no_grad()
def most_likely(model: Any, adapters: Sequence[str], ids_BT: Tensor, mask_BT: Tensor) -> list[str]:
    """For each left-padded question, the adapter with the lowest mean negative log-likelihood of its tokens."""
    nll_SB = question_nll(model, adapters, ids_BT, mask_BT)
    return [adapters[i] for i in nll_SB.argmin(dim=0).tolist()]


@torch.no_grad()
def question_nll(model: Any, adapters: Sequence[str], ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean nats per token of every question under every adapter, [S, B]."""
    n, b = len(adapters), len(ids_BT)
    ids, mask = ids_BT.repeat(n, 1), mask_BT.repeat(n, 1)
    names = [name for name in adapters for _ in range(b)]
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), adapter_names=names).logits
    real = (mask[:, 1:] * mask[:, :-1]).bool()
    nll = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none") * real
    return (nll.sum(dim=1) / real.sum(dim=1).clamp(min=1)).reshape(n, b)
