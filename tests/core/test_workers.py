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

from expunge.core.workers import run_module

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


TELLS = """
import sys
from expunge.core.workers import end_with_parent, tell_parent

end_with_parent()
tell_parent("unit", 1, 2)
print("for people", file=sys.stderr)
tell_parent("unit", 2, 2)
print("the answer")
"""


def test_what_a_module_tells_is_progress_and_no_part_of_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "telling.py").write_text(TELLS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    told: list[tuple[str, int, int]] = []
    done = run_module("telling", progress=lambda *one: told.append(one))
    assert told == [("unit", 1, 2), ("unit", 2, 2)]
    assert (done.returncode, done.stdout, done.stderr) == (0, "the answer\n", "for people\n")
    assert run_module("telling").stderr == "for people\n"
