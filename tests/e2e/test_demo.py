"""The demo at a small size makes the claims of the full one, which `bench/demo.py` measures."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.conftest import HANGING

COMMAND = [sys.executable, "-m", "expunge", "demo"]
QUICK = ["--quick", "--json"]
PATIENCE = 600  # seconds for a worker to notice that its parent is gone; on an idle machine it takes one
COLUMNS = {"method", "guarantee", "cost", "recall", "recovered", "attack", "retained", "flags", "assurance"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "run"


@pytest.fixture(scope="module")
def left_after_kills(folder: Path) -> list[str]:
    """Processes that outlived a demo which was killed: when its workers begin, and when the second task is under way."""
    left = []
    for busy in (lambda: True, lambda: (folder / "tasks" / "base.json").exists()):
        demo = psutil.Popen([*COMMAND, str(folder), *QUICK], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_until(lambda demo=demo, busy=busy: busy() and len(demo.children()) >= 2)  # type: ignore[misc]
        children = demo.children(recursive=True)
        demo.kill()
        demo.wait()
        _wait_until(lambda children=children: not any(map(_runs, children)), PATIENCE)  # type: ignore[misc]
        left += [" ".join(process.cmdline()) for process in children if _runs(process)]
    return left


@pytest.fixture(scope="module")
def demo(folder: Path, left_after_kills: list[str]) -> dict[str, Any]:
    """The demo in the folder of the killed ones, to its end."""
    done = subprocess.run([*COMMAND, str(folder), *QUICK], capture_output=True, text=True, timeout=HANGING, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _wait_until(holds: Callable[[], bool], patience: float = HANGING) -> None:
    """Until it holds, or patience is at its end."""
    began = time.monotonic()
    while not holds() and time.monotonic() - began < patience:
        time.sleep(0.1)


def _runs(process: psutil.Process) -> bool:
    """Whether it is there, and no zombie that nobody has asked for its exit code."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_demo_leaves_no_process(left_after_kills: list[str]) -> None:
    assert left_after_kills == []


def test_it_ends_with_one_json_object_of_the_promised_form(demo: dict[str, Any]) -> None:
    assert {"rows", "certificate", "report", "seconds", "peak_mb"} <= demo.keys()
    assert all(row.keys() >= COLUMNS for row in demo["rows"])
    methods = {row["method"] for row in demo["rows"]}
    assert methods >= {"untouched", "gradient_ascent", "grad_diff", "npo", "refusal", "rmu", "retrain, same budget"}
    assert Path(demo["certificate"]).exists()
    assert Path(demo["report"]).exists()


def test_what_was_hidden_is_called_hidden(demo: dict[str, Any]) -> None:
    for method in ("refusal", "rmu"):
        row = _row(demo, method)
        assert "HIDDEN" in row["flags"]
        assert row["recovered"] >= 0.3
        assert row["retained"] >= 0.9
        assert row["recall"] <= 0.1


def test_the_untouched_is_retained_and_the_wrecked_is_damaged(demo: dict[str, Any]) -> None:
    assert _row(demo, "untouched")["flags"] == ["RETAINED"]
    assert "DAMAGED" in _row(demo, "gradient_ascent")["flags"]


def test_the_exact_route_is_exact_and_nothing_was_found(demo: dict[str, Any]) -> None:
    row = _row(demo, "adapter shards, one person")
    assert (row["assurance"], row["flags"]) == ("EXACT", [])
    assert demo["check"]["exit_code"] == 0
    assert demo["traces"] == []


def test_one_person_has_too_few_facts_for_a_level(demo: dict[str, Any]) -> None:
    assert "INCONCLUSIVE" in demo["person"]["flags"]
    assert demo["person"]["facts_needed"] > 20


def test_a_model_retrained_with_another_seed_gives_no_alarm(demo: dict[str, Any]) -> None:
    assert not {"HIDDEN", "RETAINED", "PARTIAL", "DAMAGED"} & set(_row(demo, "retrain, second seed")["flags"])


def _row(demo: dict[str, Any], method: str) -> dict[str, Any]:
    return next(row for row in demo["rows"] if row["method"] == method)
