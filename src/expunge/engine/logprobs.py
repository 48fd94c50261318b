"""Log-probabilities of answers, token by token, without a second cross-entropy.

Labels are never passed to the model: it would compute its own loss and keep its own softmax alive beside ours.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.engine.batches import Batch, collate
from expunge.engine.text import Encoded
from expunge.engine.trunk import Trunk


def answer_logits(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and rows of the labelled positions only: [N, V], [N], [N]."""
    logits_BTV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
    row, at = batch.predicts
    return logits_BTV[row, at].float(), batch.labels_BT[row, at + 1], row


def token_stats(logits_NV: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of N tokens: log-probability, whether it is the likeliest, and mean and standard deviation of log p, each [N].

    Mean and deviation are over the vocabulary under the model itself, the moments of Min-K%++ (arXiv:2404.02936, Eq. 3).
    Nats, reduced in float32 a few positions at a time, so that no second [N, V] ever exists.

    >>> token_stats(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([3]))[2:]  # a uniform model has no spread
    (tensor([-1.3863]), tensor([0.]))
    """
    chunk = max(
        1, (2**18 if logits_NV.device.type == "cpu" else 2**26) // logits_NV.shape[1]
    )  # 1 MB fits a core's cache
    parts = [
        _stats(z_NV.float(), y_N)
        for z_NV, y_N in zip(torch.split(logits_NV, chunk), torch.split(labels_N, chunk), strict=True)
    ]
    logp, likeliest, mean, std = (torch.cat(column) for column in zip(*parts, strict=True))
    return logp, likeliest, mean, std


def _stats(logits_NV: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    top_N, at_N = logits_NV.max(dim=-1)
    z_NV = logits_NV - top_N[:, None]  # below the top, so that the moments do not cancel
    e_NV = z_NV.exp()
    sum_N = e_NV.sum(-1)
    log_sum_N = sum_N.log()
    logp_N = z_NV.gather(1, labels_N[:, None])[:, 0] - log_sum_N
    z_NV.clamp_(min=-1e4)  # a token that cannot be said has p log p = 0, not 0 * inf
    mean_N = e_NV.mul_(z_NV).sum(-1) / sum_N
    variance_N = e_NV.mul_(z_NV).sum(-1) / sum_N - mean_N**2
    return logp_N, at_N == labels_N, mean_N - log_sum_N, variance_N.clamp(min=0).sqrt()


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


def trunk_nll(model: Any, batch: Batch) -> Tensor:
    """`mean_nll` up to rounding, faster: no other position than those that predict a label reaches the vocabulary head,
    and rows may be packed."""
    trunk, (line_N, at_N) = Trunk.of(model), batch.predicts
    logits_NV = trunk.logits_at(line_N, at_N, **trunk.inputs(batch)).float()
    return F.cross_entropy(logits_NV, batch.labels_BT[line_N, at_N + 1])


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
