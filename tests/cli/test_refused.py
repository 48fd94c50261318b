"""Damage, a full disk, a place that cannot be written to, a fault of the program: each is one sentence, and never exit code 1."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Ran, expunge

LIMIT = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from expunge.cli import main
main()
"""


@pytest.fixture
def project(tmp_path: Path) -> tuple[Path, str]:
    """A project with a dataset and a request."""
    root, file = tmp_path / "p", tmp_path / "people.csv"
    file.write_text("who,answer\n" + "".join(f"Person {n},yes {n}\n" for n in range(40)))
    expunge("init", root)
    expunge("data", "add", file, "--subject", "who", "--question", "", "-p", root)
    asked = expunge("request", "--dataset", "people", "-p", root, "--json", stdin="Person 3\n")
    return root, asked.json["request"]


def one_sentence(ran: Ran, *words: str, code: int = 2) -> None:
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("error: ")
    for word in words:
        assert word in ran.err


@pytest.mark.parametrize("size", [0, 10, 100, 5000, 40_000, 80_000])
def test_a_truncated_ledger_is_named(project: tuple[Path, str], size: int) -> None:
    root, request = project
    os.truncate(root / "ledger.db", size)
    for arguments in (("plan", request), ("report", request), ("request", "--dataset", "people")):
        one_sentence(expunge(*arguments, "-p", root, stdin="Person 1\n", code=None), "ledger.db", "restore it")


def test_missing_keys_are_named_at_opening(project: tuple[Path, str]) -> None:
    root, request = project
    (root / "keys" / "subjects.db").unlink()
    one_sentence(expunge("plan", request, "-p", root, code=None), "keys/subjects.db", "restore")


def state(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in [*root.glob("manifests/*"), *root.glob("keys/*.key")]}


@pytest.mark.parametrize("limit", [0, 100, 4096, 30_000])
def test_a_write_that_the_disk_refuses_leaves_the_old_state(
    project: tuple[Path, str], tmp_path: Path, limit: int
) -> None:
    root, request = project
    more = tmp_path / "more.csv"
    more.write_text("who,answer\n" + "".join(f"Other {n},yes {n}\n" for n in range(3000)))
    commands: list[list[Any]] = [
        ["data", "add", more, "--subject", "who", "--question", "", "-p", root],
        ["init", tmp_path / "new"],
    ]
    before = state(root)
    for command in commands:
        run = [sys.executable, "-c", LIMIT, str(limit), *map(str, command)]
        done = subprocess.run(run, capture_output=True, text=True)
        one_sentence(Ran(done.returncode, done.stdout, done.stderr), "no room on the disk", "free some space")
        assert state(root) == before
    for command in commands:
        expunge(*command)
    expunge("plan", request, "-p", root)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB, where this machine lets one be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("left", [0, 4, 8, 64])
def test_a_full_disk_is_a_sentence_in_every_command_that_writes(
    project: tuple[Path, str], small_disk: Path, tmp_path: Path, left: int
) -> None:
    root = Path(shutil.copytree(project[0], small_disk / "p"))
    for path in (root, *root.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "fill").write_bytes(b"x" * max(0, free - left * 1024))
    before = state(root)
    more = tmp_path / "more.csv"
    more.write_text("who,answer\n" + "".join(f"Other {n},yes {n}\n" for n in range(3000)))
    add = ["data", "add", more, "--subject", "who", "--question", "", "-p", root]
    for command in (add, ["request", "--dataset", "people", "-p", root], ["init", small_disk / "new"]):
        ran = expunge(*command, stdin="Person 5\n", code=None)
        if ran.code:
            one_sentence(ran, "no room on the disk", "free some space")
    assert state(root) == before
    (small_disk / "fill").unlink()
    expunge("request", "--dataset", "people", "-p", root, stdin="Person 6\n")


@pytest.fixture
def read_only(project: tuple[Path, str], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The project on a medium that cannot be written to."""
    place = tmp_path / "medium"
    place.mkdir()
    bind, again = ["mount", "--bind", str(project[0]), str(place)], ["mount", "-o", "remount,ro,bind", str(place)]
    if not shutil.which("mount") or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    subprocess.run(again, check=True)
    yield place, project[1]
    subprocess.run(["umount", str(place)], check=True)


def test_a_project_that_cannot_be_written_to_can_be_read(read_only: tuple[Path, str], tmp_path: Path) -> None:
    root, request = read_only
    expunge("plan", request, "-p", root)
    expunge("report", request, "-p", root, "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 1000
    one_sentence(expunge("report", request, "-p", root, code=None), "read-only", "write to another place")
    one_sentence(expunge("request", "--dataset", "people", "-p", root, stdin="Person 1\n", code=None), "read-only")


def test_what_was_committed_last_is_read_from_a_medium_too(project: tuple[Path, str], tmp_path: Path) -> None:
    """A write-ahead log that a kill left behind holds it; it is read, or the command says that it cannot be."""
    root, _ = project
    code = (
        "import os, sys; from pathlib import Path; from expunge.workflow.project.project import Project\n"
        "project = Project.open(Path(sys.argv[1])); reader = project.ledger.database.engine.connect()\n"
        "reader.exec_driver_sql('SELECT 1')\n"
        "with project.writing(): print(project.ledger.open_request('people', ['Person 7']).id, flush=True)\n"
        "os._exit(9)"
    )
    made = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True).stdout.strip()
    assert (root / "ledger.db-wal").stat().st_size > 0
    place = tmp_path / "medium"
    place.mkdir()
    if subprocess.run(["mount", "--bind", str(root), str(place)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        ran = expunge("plan", made, "-p", place, code=None)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    if ran.code:
        one_sentence(ran, "ledger.db", "cannot be opened")


@pytest.mark.parametrize("told", [False, True])
def test_a_fault_of_the_program_exits_with_70_and_quotes_nobody(
    project: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    from expunge.workflow.project.project import Project

    def fails(*_: Any) -> None:
        raise KeyError("Ada Lind")

    monkeypatch.setattr(Project, "open", fails)
    monkeypatch.setenv("EXPUNGE_TRACEBACK", "1" if told else "")
    ran = expunge("plan", project[1], "-p", project[0], code=70)
    assert ("Traceback" in ran.err) is told
    if not told:
        one_sentence(ran, "unexpected KeyError", "EXPUNGE_TRACEBACK=1", code=70)
        assert "Ada" not in ran.err
