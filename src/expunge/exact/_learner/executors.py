"""Executors for tabular learners: processes on this machine, or Ray. The same bits come out of each.

Every task runs on one thread, wherever it runs: sums over several threads come out in another order, hence other bits.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from expunge.core.errors import InvalidParameter, MissingExtra, WorkersLost
from expunge.core.executor import Executor
from expunge.core.workers import end_with_parent, last_line

T = TypeVar("T")
R = TypeVar("R")
WORKER_START_S = 2.0  # what a worker takes to import what learners are made of
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
    """A pool of processes on this machine; this process where there is one task or one worker.

    Without a number of workers, tasks that end before a worker could have started are done in this process, one by one.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        workers = min(self.workers or cpu_count(), len(items))
        if workers <= 1:
            return [_pinned(task, item) for item in items]
        every = range(len(items))
        done = _in_workers(task, items, every, workers) if self.workers else _here_at_first(task, items, workers)
        return [done[i] for i in every]


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


def _here_at_first(task: Callable[[T], R], items: Sequence[T], workers: int) -> dict[int, R]:
    """What is done before a worker could have started, and the task under way then, here; all else in workers beside it.

    Here is a thread, so that workers start while it computes.
    """
    waiting, done, raised = deque(range(len(items))), dict[int, R](), list[BaseException]()

    def here() -> None:
        with suppress(IndexError):  # the rest is for workers, or all is done
            while not raised:
                i = waiting.popleft()
                try:
                    done[i] = _pinned(task, items[i])
                except BaseException as e:  # noqa: BLE001 - raised where the tasks were asked for
                    raised.append(e)

    thread = Thread(target=here, daemon=True)
    thread.start()
    try:
        thread.join(WORKER_START_S)
        left = [waiting.popleft() for _ in range(len(waiting))] if thread.is_alive() else []
        found = _in_workers(task, items, left, workers - 1) if left else {}
        thread.join()
    finally:
        waiting.clear()  # interrupted, it begins nothing more
    if raised:
        raise raised[0]
    return done | found


def _in_workers(task: Callable[[T], R], items: Sequence[T], places: Sequence[int], workers: int) -> dict[int, R]:
    """Raises: WorkersLost."""
    done: dict[int, R] = {}
    for _ in range(_ATTEMPTS):
        waiting = [i for i in places if i not in done]
        if _gather(task, items, waiting, workers, done):
            return done
    raise _lost(len(places) - len(done), len(places))


def _gather(
    task: Callable[[T], R], items: Sequence[T], waiting: Sequence[int], workers: int, done: dict[int, R]
) -> bool:
    """Do what waits; False if a worker died before all of it was done.

    Raises: InvalidParameter, if a worker could not read a task, or this process a result.
    """
    # No memory maps: joblib would write the records to files. And of one job alone it makes no worker.
    parallel = Parallel(n_jobs=max(2, workers), backend="loky", return_as="generator_unordered", max_nbytes=None)
    try:
        for i, result in parallel(delayed(_numbered)(task, i, items[i], os.getpid()) for i in waiting):
            done[i] = result
    except TerminatedWorkerError:
        return False
    except BrokenProcessPool as e:
        why = last_line(str(e.__cause__ or e).strip('\n"'))
        raise InvalidParameter(
            f"a task or its result did not pass between processes ({why}); what is trained must come from a module that worker "
            "processes can import: an installed package, a file in a folder on the Python path, or the script that was started. "
            "Or pass workers=1"
        ) from e
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
