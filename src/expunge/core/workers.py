"""Work in processes of their own, which end when the process that started them does, however it ended."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from expunge.core.capability import CAPABILITY

_PARENT = "EXPUNGE_PARENT"  # in the environment of a process started by `run_module`
_SAFE_PATH = "PYTHONSAFEPATH"
_TOLD = "\x1eprogress "
_LOOK_EVERY_S = 0.5
_watched: set[int] = set()


def worker_pool(workers: int, begin: Callable[..., Any] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """A pool of fresh processes (a forked torch may hang); each calls `begin` with these arguments before its first task."""
    with _from_nowhere():
        resource_tracker.ensure_running()
    return ProcessPoolExecutor(workers, _Spawn(), _begun, (os.getpid(), begin, arguments))


Progress = Callable[[str, int, int], None]  # what is worked on, steps done, steps in all


def run_module(module: str, *arguments: str, progress: Progress | None = None) -> "subprocess.CompletedProcess[str]":
    """`python -m module arguments` in the processor mode in which bits repeat; its output and its exit code.

    The module calls `end_with_parent` first. What it tells `tell_parent` is told to `progress`.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    environment = {**os.environ, **CAPABILITY, _PARENT: str(os.getpid())}
    errors: list[str] = []
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                message = line.removeprefix(_TOLD)
                if message == line:
                    errors.append(line)
                elif progress is not None:
                    progress(*json.loads(message))
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        out.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), "".join(errors))


class _SpawnProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _from_nowhere():
            return SpawnProcess._Popen(process_obj)


class _Spawn(SpawnContext):
    """Fresh processes that import nothing from the current directory while they start."""

    Process = _SpawnProcess


@contextmanager
def _from_nowhere() -> Iterator[None]:
    """Python processes that are started meanwhile import nothing from the current directory, as with `python -P`."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def tell_parent(what: str, done: int, total: int) -> None:
    """Progress of a module that `run_module` runs: a line of its own among what it says to people."""
    sys.stderr.write(f"{_TOLD}{json.dumps([what, done, total])}\n")
    sys.stderr.flush()


def last_line(output: str) -> str:
    """What a process said last: of a traceback the error itself.

    >>> last_line("Traceback …\\nValueError: no\\n")
    'ValueError: no'
    """
    return (output.strip().splitlines() or ["it said nothing"])[-1]


def end_with_parent(parent: int | None = None) -> None:
    """End this process soon after `parent` is no longer its parent: by default whoever called `run_module`, else nobody.

    A kill leaves no chance to stop what was started, so that whatever is started looks for itself.
    """
    parent = int(os.environ.pop(_PARENT, 0)) if parent is None else parent
    if parent and parent not in _watched:
        _watched.add(parent)
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)  # not an exception: the main thread may be deep in a computation


def _begun(parent: int, begin: Callable[..., Any] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent(parent)
    if begin:
        begin(*arguments)
