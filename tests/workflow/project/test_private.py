"""What a project holds is its owner's alone to read, and no planted name leads a write elsewhere."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from expunge.core import Unit, durable
from expunge.core.durable import place_beside, write_durably
from expunge.core.errors import InvalidParameter, ProjectLocked
from expunge.ledger import Columns, UnitMembers
from expunge.workflow.project.project import Project


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A umask that keeps nothing back, as on a careless machine."""
    before = os.umask(0)
    yield
    os.umask(before)


def readable_by_others(root: Path) -> list[str]:
    return [str(p) for p in (root, *root.rglob("*")) if p.lstat().st_mode & 0o077]


def fill(project: Project) -> None:
    file = project.root.parent / "people.csv"
    file.write_text("who,answer\nAda,yes\nBob,no\n")
    with project.writing():
        project.ledger.add_dataset("people", file, Columns(subject="who", answer="answer"))
        folder = project.root / "models" / "m" / "v"
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"x")  # as a library writes it
        write_durably(project.root / "work" / "req" / "note", b"x")


def test_what_is_written_is_private_whatever_the_umask_was(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    assert readable_by_others(project.root) == []
    fill(project)
    assert readable_by_others(project.root) == []
    assert os.umask(0) == 0, "the process's own umask is back"


def test_an_older_project_is_closed_at_the_next_writing_and_files_of_others_in_it_stay(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    fill(project)
    mine = project.root / "my-data.csv"
    mine.write_text("x")
    mine.chmod(0o644)
    for path in [*(project.root / "models").rglob("*"), project.root / "expunge.toml", project.root / "models"]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    project.root.chmod(0o755)
    with project.writing():
        pass
    assert readable_by_others(project.root) == [str(mine)]
    assert stat.S_IMODE(project.root.stat().st_mode) == 0o700


def test_a_planted_name_is_neither_followed_nor_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "page.html"
    monkeypatch.setattr(durable.secrets, "token_hex", lambda n: "0" * 2 * n)  # somebody who guesses even that
    with place_beside(target) as beside:
        pass
    beside.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_durably(target, b"new")
    assert victim.read_text() == "precious"
    beside.unlink(missing_ok=True)
    (tmp_path / ".page.html.tmp").symlink_to(victim)  # a name that once was foreseen
    (tmp_path / ".secret.tmp").touch(0o666)
    write_durably(target, b"new")
    write_durably(tmp_path / "secret", b"new", mode=0o600)
    assert victim.read_text() == "precious"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


INIT = """
import sys
from pathlib import Path
from expunge.core.errors import ExpungeError
from expunge.workflow.project.project import Project
sys.stdin.readline()
try:
    Project.create(Path(sys.argv[1]))
except ExpungeError as e:
    print("refused:", type(e).__name__)
else:
    print("made")
"""


@pytest.mark.parametrize("turn", range(4))
def test_of_several_who_make_a_project_at_once_one_makes_it_and_others_get_a_sentence(
    tmp_path: Path, turn: int
) -> None:
    command = [sys.executable, "-c", INIT, str(tmp_path / "p")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in running)
    assert said.count("made") == 1, said
    assert {one for one in said if one != "made"} <= {"refused: ProjectLocked", "refused: InvalidParameter"}
    assert Project.open(tmp_path / "p").ledger.datasets() == ()
    assert not [p.name for p in (tmp_path / "p").iterdir() if p.name.startswith(".")]


def test_an_init_that_was_killed_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("expunge.workflow.project.project.write_durably", killed)
        with pytest.raises(KeyboardInterrupt):
            Project.create(tmp_path / "p")
    index = (tmp_path / "p" / "keys" / "index.key").read_bytes()
    project = Project.create(tmp_path / "p")
    assert (tmp_path / "p" / "keys" / "index.key").read_bytes() == index
    with project.writing(), pytest.raises((ProjectLocked, InvalidParameter)):
        Project.create(tmp_path / "p")


def test_a_purged_version_that_is_there_again_is_named(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p")
    fill(project)
    for digest in ("sha256:aa", "sha256:bb"):
        units = [UnitMembers(Unit("u", (0,), digest), None)]
        project.ledger.record_model_version(
            "m", kind="own loop", digest=digest, path=f"models/m/{digest[7:]}", units=units
        )
    project.ledger.mark_purged("m", "sha256:aa")
    assert project.came_back() == []
    for name in ("aa", "bb"):
        (project.root / "models" / "m" / name).mkdir()
    assert [v.digest for v in project.came_back()] == ["sha256:aa"]
