"""Running statistics: means and variances of the training data that a model keeps beside its weights (batch normalisation).

No gradient reaches them, and they hold what was forgotten as long as they are what training left. So an edit ends with
statistics of the retained rows alone; and where weights begin anew, training normalises by batches, as it did the first time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from expunge.approximate._draws import Row
from expunge.approximate._material import Material
from expunge.engine import keyed_order

BATCH = 256  # rows that one estimate is of, at most


def layers(model: nn.Module) -> list[_NormBase]:
    """The modules that keep statistics, without those whose weights are frozen: what is frozen stays."""
    keeping = [m for m in model.modules() if isinstance(m, _NormBase) and m.running_mean is not None]
    return [m for m in keeping if any(p.requires_grad for p in m.parameters()) or not list(m.parameters())]


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Meanwhile every batch is normalised by its own statistics, as in training; nothing else is in training mode."""
    before = [(layer, layer.training) for layer in layers(model)]
    try:
        for layer, _ in before:
            layer.train()
        yield
    finally:
        for layer, training in before:
            layer.train(training)


@torch.no_grad()
def reestimate(material: Material) -> None:
    """Statistics of the retained rows, as the weights are now: the mean over batches, whatever order the rows came in.

    As `torch.optim.swa_utils.update_bn`, of batches that are equally large up to a row.
    """
    if not (found := layers(material.model)):
        return
    momentum = [layer.momentum for layer in found]
    for layer in found:
        layer.reset_running_stats()
        layer.momentum = None  # a mean in which every batch counts alike
    with batch_statistics(material.model):
        for rows in _parts(material.retain):
            _ = material.side(rows).logits_NV
    for layer, before in zip(found, momentum, strict=True):
        layer.momentum = before
    material.notes.append(
        f"running statistics of {len(found)} layers are those of the {len(material.retain)} retained rows now"
    )


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    ordered = [rows[i] for i in keyed_order([row.id for row in rows], b"expunge/running statistics")]
    n = -(-len(ordered) // BATCH)
    return [ordered[k * len(ordered) // n : (k + 1) * len(ordered) // n] for k in range(n)]
