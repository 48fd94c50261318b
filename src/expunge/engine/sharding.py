"""The same work in several processes or on several GPUs, in parts that any launcher can run and join."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from expunge.core.errors import InvalidParameter
from expunge.core.workers import worker_pool

T = TypeVar("T")
R = TypeVar("R")


def part(items: Sequence[T], i: int, n: int) -> Sequence[T]:
    """Part `i` of `n`: neighbours stay together, and the parts one after another are the whole.

    Raises: InvalidParameter, for a part that does not exist.

    >>> [part("abcdefg", i, 3) for i in range(3)]
    ['ab', 'cd', 'efg']
    """
    if not 0 <= i < n:
        raise InvalidParameter(f"part must be in 0..{n - 1}, got {i}")
    return items[i * len(items) // n : (i + 1) * len(items) // n]


def spread(work: Callable[[Any, Sequence[T]], list[R]], model: Any, items: Sequence[T], shards: int = 1) -> list[R]:
    """`work(model, items)` in `shards` processes, each on its own GPU where the model is on one; results in order.

    `work` and the model must be picklable; each process has this one's number of threads. What `work` makes of an item
    must not depend on its neighbours, else the parts are not the whole.
    """
    if shards == 1 or len(items) < 2:
        return work(model, items)
    parts = [part(items, i, shards) for i in range(shards)]
    with worker_pool(shards, torch.set_num_threads, torch.get_num_threads()) as pool:
        running = [pool.submit(_run, work, model, p, i) for i, p in enumerate(parts) if p]
        return [found for job in running for found in job.result()]


def _run(work: Callable[[Any, Sequence[T]], list[R]], model: Any, items: Sequence[T], i: int) -> list[R]:
    if next(model.parameters()).is_cuda:
        model = model.to(f"cuda:{i % torch.cuda.device_count()}")
    return work(model, items)
