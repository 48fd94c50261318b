"""Which shard a question is about: the one whose adapter finds it most likely."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from expunge.exact._adapter.questions import mean_nll, read_questions


def most_likely(model: Any, tokenizer: Any, adapters: Sequence[str], ids_BT: Tensor, mask_BT: Tensor) -> list[str]:
    """For each left-padded prompt, the adapter with the lowest mean negative log-likelihood of its question."""
    nll_SB = question_nll(model, tokenizer, adapters, ids_BT, mask_BT)
    return [adapters[i] for i in nll_SB.argmin(dim=0).tolist()]


def question_nll(model: Any, tokenizer: Any, adapters: Sequence[str], ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean nats per token of every question under every adapter, [S, B]. The last of the adapters stays active."""
    nll = []
    for name in adapters:
        model.set_adapter(name)
        nll.append(mean_nll(read_questions(model, tokenizer, ids_BT, mask_BT)))
    return torch.tensor(nll)
