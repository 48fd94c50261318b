"""A newcomer's walk, done in a copy of the repository: every file is written and every command run, in order."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import HANGING

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|sh)( fails)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_walk_can_be_walked(tmp_path: Path) -> None:
    house = tmp_path / "expunge"
    for name in ("src", "docs", "bench/results", "tests/contract", "tests/approximate"):
        shutil.copytree(ROOT / name, house / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/conftest.py"):
        shutil.copy(ROOT / name, house / name)
    assert not (house / "src/expunge/approximate/hinge.py").exists()
    commands = 0
    for language, fails, text in BLOCK.findall((ROOT / "docs/first-contribution.md").read_text("utf-8")):
        if language == "python":
            path = house / text.partition("\n")[0].removeprefix("# ")
            path.write_text(text.partition("\n")[2], "utf-8")
        else:
            for line in text.splitlines():
                done = _run(line, house)
                assert (done.returncode != 0) == bool(fails), f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
                commands += 1
    assert commands >= 9
    assert "### hinge" in (house / "docs/methods.md").read_text("utf-8")


def _run(line: str, house: Path) -> "subprocess.CompletedProcess[str]":
    assert line.startswith(".venv/bin/"), line
    tool, *arguments = line.split()
    command = [str(Path(sys.executable).parent / Path(tool).name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(house / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=house, env=environment, capture_output=True, text=True, timeout=HANGING, check=False
    )
