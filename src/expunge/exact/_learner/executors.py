"""Executors for tabular learners: processes on this machine, or Ray. The same bits come out of each.

Every task runs on one thread, wherever it runs: sums over several threads come out in another order, hence other bits.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from joblib import Parallel, cpu_count, delayed
from threadpoolctl import threadpool_limits

from expunge.core.errors import InvalidParameter, MissingExtra, WorkersLost
from expunge.core.executor import Executor
from expunge.core.workers import end_with_parent

T = TypeVar("T")
R = TypeVar("R")
_ATTEMPTS = 4  # of one task; a worker that dies that often over it will die again


def executor_of(wanted: str | Executor, workers: int | None) -> Executor:
    """The executor by name, with so many workers (by default one per core), or the object given.

    Raises: InvalidParameter.
    """
    if workers is not None and workers < 1:
        raise InvalidParameter(f"workers must be at least 1, got {workers}; None means one per core")
    if wanted == "local":
        return LocalPool(workers)
    if wanted == "ray":
        return RayPool(workers)
    if isinstance(wanted, str) or not isinstance(wanted, Executor):
        raise InvalidParameter(f"executor must be 'local', 'ray' or an object with run(task, items), got {wanted!r}")
    return wanted


class LocalPool:
    """A pool of processes on this machine; this process where there is one task or one worker."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        workers = min(self.workers or cpu_count(), len(items))
        if workers <= 1:
            return [_pinned(task, item) for item in items]
        done: dict[int, R] = {}
        for _ in range(_ATTEMPTS):
            waiting = [i for i in range(len(items)) if i not in done]
            if _gather(task, items, waiting, workers, done):
                return [done[i] for i in range(len(items))]
        raise _lost(len(items) - len(done), len(items))


class RayPool:
    """Ray: the cluster that this process is connected to, else one on this machine for the length of the call."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        try:
            import ray
        except ImportError as e:
            raise MissingExtra("executor='ray' needs Ray; install it with: pip install 'expunge[ray]'") from e
        with _connected(ray, self.workers):
            # A worker's death is retried by Ray; an error in the task is not, it would come back.
            remote = ray.remote(max_retries=_ATTEMPTS - 1, retry_exceptions=False)(_pinned)
            try:
                found: list[R] = ray.get([remote.remote(task, item) for item in items])
            except ray.exceptions.RayTaskError as e:
                raise e.cause from e
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as e:
                raise _lost(1, len(items)) from e
            return found


def _gather(
    task: Callable[[T], R], items: Sequence[T], waiting: Sequence[int], workers: int, done: dict[int, R]
) -> bool:
    """Do what waits; False if a worker died before all of it was done."""
    # No memory maps: joblib would write the records to files.
    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered", max_nbytes=None)
    try:
        for i, result in parallel(delayed(_numbered)(task, i, items[i], os.getpid()) for i in waiting):
            done[i] = result
    except BrokenProcessPool:
        return False
    return True


def _numbered(task: Callable[[T], R], i: int, item: T, parent: int) -> tuple[int, R]:
    end_with_parent(parent)
    return i, _pinned(task, item)


def _pinned(task: Callable[[T], R], item: T) -> R:
    """The task on one thread, whatever the settings around it."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    try:
        if torch:
            torch.set_num_threads(1)
        with threadpool_limits(limits=1):
            return task(item)
    finally:
        if torch:
            torch.set_num_threads(before)


@contextmanager
def _connected(ray: Any, workers: int | None) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


def _lost(n_lost: int, n_items: int) -> WorkersLost:
    return WorkersLost(
        f"workers died {_ATTEMPTS} times over {n_lost} of {n_items} tasks, perhaps for lack of memory; "
        "nothing was changed. Try fewer workers"
    )
