"""Several processes that train one model: each reads its own rows of every batch, and gradients are averaged.

Start them with `torchrun` or `accelerate launch`; a process alone is one of one. All ranks draw the same batch and take
disjoint parts of it: ranks that draw for themselves from the same seed read the same rows, and the batch is smaller than
it was said to be (open-unlearning, issue 139).
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch.distributed as dist
from torch import nn

T = TypeVar("T")


def ranks() -> tuple[int, int]:
    """This process's number, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def wait() -> None:
    """Until every rank is here."""
    if ranks()[1] > 1:
        dist.barrier()


def own(rows: Sequence[T]) -> list[T]:
    """This rank's part of a batch; a batch with fewer rows than ranks is read whole by all."""
    rank, n = ranks()
    return list(rows[rank::n]) if len(rows) >= n else list(rows)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """The same gradients on every rank: their mean.

    That is the gradient of the whole batch where ranks have equally many rows (tokens, for losses that are means of
    tokens); otherwise rows of a rank with few weigh more.
    """
    n = ranks()[1]
    if n == 1:
        return
    for p in parameters:
        if p.grad is not None:
            dist.all_reduce(p.grad)
            p.grad /= n
