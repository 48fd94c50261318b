"""The small twin of `bench/kill_workers.py`: workers killed while they carry requests leave every project right."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    spec = importlib.util.spec_from_file_location("bench_workers", BENCH / "_workers.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_every_request_ends_right() -> None:
    """In a process of its own: what was forked from one with threads may hang."""
    command = [sys.executable, str(BENCH / "kill_workers.py"), "--kills", "3", "--requests", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert all(one["ok"] for one in json.loads(done.stdout.splitlines()[-1])["claims"])


def test_what_is_wrong_is_found(workers: ModuleType, tmp_path: Path) -> None:
    """The control: a request that did not end, and a key that should be gone."""
    project = workers.make_project(tmp_path / "made", 4)
    asked = set(project.ledger.open_request(None, ["Person 0"]).subjects)
    found = " ".join(workers.faults(project, asked))
    assert "is received" in found
    assert "keys of erased people are left" in found
