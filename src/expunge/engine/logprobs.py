"""Log-probabilities of answers, token by token, without a second cross-entropy.

Labels are never passed to the model: it would compute its own loss and keep its own softmax alive beside ours.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.engine.batches import IGNORE, Batch, collate
from expunge.engine.text import Encoded


def answer_logits(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and rows of the labelled positions only: [N, V], [N], [N]."""
    logits_BTV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
    next_BT = batch.labels_BT[:, 1:]
    row, at = (next_BT != IGNORE).nonzero(as_tuple=True)
    return logits_BTV[row, at].float(), next_BT[row, at], row


def token_logp(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probability in nats of every labelled token, [N], and the row it belongs to, [N]."""
    logits_NV, labels_N, row_N = answer_logits(model, batch)
    return -F.cross_entropy(logits_NV, labels_N, reduction="none"), row_N


def sequence_logp(model: Any, batch: Batch) -> Tensor:
    """Log-probability of each row's labelled tokens together, [B], in nats."""
    logp_N, row_N = token_logp(model, batch)
    return torch.zeros(len(batch), dtype=logp_N.dtype, device=logp_N.device).index_add(0, row_N, logp_N)


def mean_nll(model: Any, batch: Batch) -> Tensor:
    """Mean negative log-likelihood per labelled token: the usual training loss."""
    logp_N, _ = token_logp(model, batch)
    return -logp_N.mean()


@torch.no_grad()
def rows_logp(model: Any, encoded: Sequence[Encoded], pad_id: int, batch_size: int = 64) -> list[list[float]]:
    """Per row, the log-probability of each answer token. Rows are grouped by length, returned in the order given."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    result: list[list[float]] = [[] for _ in encoded]
    device = next(model.parameters()).device
    for k in range(0, len(order), batch_size):
        part = order[k : k + batch_size]
        logp_N, row_N = token_logp(model, collate([encoded[i] for i in part], pad_id).to(device))
        for logp, row in zip(logp_N.tolist(), row_N.tolist(), strict=True):
            result[part[row]].append(logp)
    return result
