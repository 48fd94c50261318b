"""Workers end when the process that started them is killed, which leaves it no chance to stop them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import HANGING

STARTS = {
    "pool": """
from expunge.core.workers import worker_pool
with worker_pool(2) as pool:
    list(pool.map(busy, range(2)))
""",
    "executor": """
from expunge.exact._learner.executors import LocalPool
LocalPool(2).run(busy, range(2))
""",
    "module": """
from expunge.core.workers import run_module
run_module("alone")
""",
}
BUSY = """
import os, time
from pathlib import Path

def busy(i):
    Path(f"pid-{os.getpid()}").touch()
    time.sleep(3600)
"""
ALONE = """
from busy import busy
from expunge.core.workers import end_with_parent

end_with_parent()
busy(0)
"""


@pytest.mark.parametrize("start", STARTS)
def test_nobody_is_left_after_a_kill(start: str, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    (tmp_path / "alone.py").write_text(ALONE)
    body = "\n    ".join(STARTS[start].strip().splitlines())
    (tmp_path / "main.py").write_text(f"from busy import busy\n\nif __name__ == '__main__':\n    {body}\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    parent = subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    n_workers = 1 if start == "module" else 2
    started = lambda: [int(p.name.removeprefix("pid-")) for p in tmp_path.glob("pid-*")]
    _wait_until(lambda: len(started()) == n_workers)
    assert all(_runs(pid) for pid in started())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _wait_until(lambda: not any(_runs(pid) for pid in started()))


def _runs(pid: int) -> bool:
    """Whether a process is there, and not a zombie that nobody has asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(holds: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < HANGING
        time.sleep(0.1)
