"""What an auditor installs: the wheel with its base dependencies, in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v2"
CERTIFICATE, TRUST, LOG = GOLDEN / "certificate.intoto.json", GOLDEN / "trust.pem", GOLDEN / "log"
LOG_KEY = GOLDEN / "log.vkey"
HEAVY = ("torch", "transformers", "peft", "sqlalchemy", "alembic", "pyarrow", "numpy", "scipy", "matplotlib")


@dataclass(frozen=True)
class Installed:
    """A clean environment with the wheel in it."""

    bin: Path
    cwd: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(self.bin / program), *map(str, arguments)]
        return subprocess.run(command, cwd=self.cwd, env=clean_environment(), capture_output=True, text=True)


def clean_environment() -> dict[str, str]:
    """Without what would let the source tree or another environment shine through."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
    return {k: v for k, v in os.environ.items() if k not in hidden}


def run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("base")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=ROOT)
    (wheel,) = (folder / "dist").glob("expunge-*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--constraint", ROOT / "constraints.txt")
    run(python, "-m", "pip", "install", *quiet, wheel, cwd=folder)
    return Installed(python.parent, folder)


def test_the_heavy_packages_are_not_there(installed: Installed) -> None:
    found = installed.run(
        "python", "-c", f"from importlib.util import find_spec; print([m for m in {HEAVY} if find_spec(m)])"
    )
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr


def test_help_works(installed: Installed) -> None:
    shown = installed.run("expunge", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "check" in shown.stdout + shown.stderr


def test_the_golden_certificate_passes(installed: Installed) -> None:
    checked = installed.run(
        "expunge", "check", CERTIFICATE, "--trust", TRUST, "--log", LOG, "--log-key", LOG_KEY, "--json"
    )
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["verdict"] == "pass"


def test_an_unknown_signer_is_said_to_be_one(installed: Installed) -> None:
    checked = installed.run("expunge", "check", CERTIFICATE, "--log", LOG)
    assert checked.returncode == 3
    assert "signer unknown" in " ".join(checked.stderr.split())


def test_an_altered_log_is_refused(installed: Installed, tmp_path: Path) -> None:
    log = shutil.copytree(LOG, tmp_path / "log")
    checkpoint = (log / "checkpoint").read_bytes()
    (log / "checkpoint").write_bytes(checkpoint.replace(b"\n3\n", b"\n2\n"))
    checked = installed.run("expunge", "check", CERTIFICATE, "--trust", TRUST, "--log", log)
    assert checked.returncode == 1
    assert "inclusion" in checked.stderr


def test_training_says_what_to_install(installed: Installed) -> None:
    shown = installed.run("expunge", "init", "project")
    assert shown.returncode == 2
    assert "pip install" in shown.stderr
    assert "Traceback" not in shown.stderr
