"""A process that dies at any moment: the same command goes on, and the result is that of an undisturbed run."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import HANGING
from tests.e2e.conftest import Asked, expunge, make_project


def _start(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "expunge", *map(str, arguments)]

    def hear_ctrl_c() -> None:  # a shell that starts the tests in the background turns it off
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c)


def _wait_for(process: "subprocess.Popen[str]", folder: Path, pattern: str) -> None:
    """Until a file of this kind is there, or the process ended before."""
    until = time.monotonic() + HANGING
    while process.poll() is None and time.monotonic() < until and not any(folder.rglob(pattern)):
        time.sleep(0.01)


def _wait_until_busy(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Until a file of the training changed."""
    before, until = _times(folder), time.monotonic() + HANGING
    while process.poll() is None and time.monotonic() < until and _times(folder) == before:
        time.sleep(0.01)


def _times(folder: Path) -> set[tuple[str, int]]:
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def _lock_is_free(project: Path) -> None:
    with (project / "lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _digest(project: Path) -> str:
    folder = project / "models/assistant"
    described = json.loads((folder / (folder / "current").read_text().strip() / "expunge.json").read_text())
    return str(described["digest"])


def test_train_goes_on_after_a_kill_and_after_ctrl_c(tmp_path: Path, inputs: Path) -> None:
    project = make_project(tmp_path / "p", inputs)
    train = ("train", f"{inputs / 'slow.py'}:recipe", "-p", project)
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        process = _start(*train)
        _wait_for(process, project / "work", "*.part")
        if how == signal.SIGINT:  # the file is there from before; wait until the training runs
            _wait_until_busy(process, project / "work")
        assert process.poll() is None, "it was over before it could be stopped; make the recipe slower"
        process.send_signal(how)
        _, said = process.communicate()
        assert process.returncode == code, said
        assert "Traceback" not in said
        _lock_is_free(project)
        assert not (project / "models/assistant/current").exists()
        assert any((project / "work").rglob("*.part")) or any((project / "work").rglob("*.safetensors"))
    assert "repeat the same command" in said
    expunge(*train)
    resumed = _digest(project)
    assert not list((project / "work").iterdir())
    # The control: the same recipe, data and salt in one go.
    from expunge.workflow.inputs.training import load_training
    from expunge.workflow.project.project import Project

    opened = Project.open(project)
    learner = load_training(train[1])[0].learner
    learner.salt = opened.salt("assistant")
    assert learner.fit(list(opened.ledger.live_records("people"))).digest() == resumed


@pytest.fixture(scope="module")
def undisturbed(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the version that `forget` makes when nothing happens."""
    import shutil

    project = Path(shutil.copytree(asked.folder, tmp_path_factory.mktemp("whole") / "p"))
    return str(expunge("forget", asked.request, "-p", project, "--json").json["targets"][0]["after"])


# From before the first write to after the last one; none of them may matter.
@pytest.mark.parametrize("moment", ["lock", "*.part", "facts.sealed", "after"])
def test_forget_goes_on_after_a_kill(moment: str, asked: Asked, copy: Any, undisturbed: str) -> None:
    project = copy(asked.folder)
    process = _start("forget", asked.request, "-p", project)
    _wait_for(process, project if moment in ("lock", "after") else project / "work", moment)
    if moment == "after":
        process.wait()
    process.kill()
    process.communicate()
    _lock_is_free(project)
    done = expunge("forget", asked.request, "-p", project, "--json").json
    assert done["targets"][0]["after"] == undisturbed
    assert not (project / "models/assistant/current").exists()


POINTS = ("point_current", "rmtree", "mark_purged", "append_event", "finish_target", "finish_erasure")


@pytest.mark.parametrize("point", POINTS)
def test_deliver_goes_on_after_a_kill(point: str, verified: Asked, copy: Any) -> None:
    """The process dies right after each of the steps."""
    project = copy(verified.folder)
    homes = {
        "point_current": "from expunge.workflow.project.project import Project as home",
        "rmtree": "import shutil as home",
        "append_event": "from expunge.ledger import Ledger as home",
    }
    code = (
        f"import os, sys\n{homes.get(point, 'from expunge.ledger import Ledger as home')}\n"
        f"real = home.{point}\n"
        "def dies(*a, **k):\n    real(*a, **k)\n    os.kill(os.getpid(), 9)\n"
        f"home.{point} = dies\n"
        f"sys.argv = ['expunge', 'deliver', {verified.request!r}, '--released', 'none', '-p', {str(project)!r}]\n"
        "from expunge.cli import main\nmain()\n"
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    _lock_is_free(project)
    done = expunge("deliver", verified.request, "--released", "none", "-p", project, "--json").json
    assert len([p for p in done["targets"][0]["purged"] if p.startswith(("version", "checkpoints"))]) == 2
    assert done["n_records"] > 0
    assert not (project / "work" / verified.request).exists()
    assert len([p for p in (project / "models/assistant").iterdir() if p.is_dir()]) == 1
    expunge("certify", verified.request, "-p", project)
    assert os.listdir(project / "evidence" / verified.request)
