"""Parts of a project that are not of one moment, or not of one project, are refused before anything is swept or destroyed."""

import json
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from tests.ledger.test_migrations import back_to_the_first

from expunge.core.errors import InvalidData
from expunge.ledger import Columns
from expunge.workflow.project.project import Project

PARTS = ("ledger.db", "keys", "expunge.toml")
SOME = [chosen for n in (1, 2) for chosen in combinations(PARTS, n)]


def grow(project: Project, name: str) -> None:
    file = project.root.parent / f"{project.root.name}-{name}.csv"
    file.write_text("who,answer\n" + "".join(f"{name} {n},yes {n}\n" for n in range(3)))
    with project.writing():
        project.ledger.add_dataset(name, file, Columns(subject="who", answer="answer"))


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def restore(root: Path, older: Path, part: str) -> None:
    for path in root.glob(f"{part}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept = older / part
    shutil.copytree(kept, root / part) if kept.is_dir() else shutil.copy2(kept, root / part)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.create(tmp_path / "p", "acme")
    grow(made, "first")
    return made


@pytest.mark.parametrize("writes", [1, 2])
@pytest.mark.parametrize("parts", SOME, ids="+".join)
def test_any_part_of_an_older_moment_is_refused_and_named_and_no_key_dies(
    project: Project, tmp_path: Path, parts: tuple[str, ...], writes: int
) -> None:
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    for n in range(writes):
        grow(project, f"later{n}")
    for part in parts:
        restore(project.root, older, part)
    before = contents(project.root)
    with pytest.raises(InvalidData, match="older") as refused:
        Project.open(project.root)
    named = [part for part in parts if part.removesuffix(".toml") in str(refused.value).split(" than ")[0]]
    assert named, str(refused.value)
    assert contents(project.root) == before


def test_a_whole_project_of_an_earlier_moment_opens(project: Project, tmp_path: Path) -> None:
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    assert [d.name for d in Project.open(older).ledger.datasets()] == ["first"]


@pytest.mark.parametrize("parts", SOME, ids="+".join)
def test_any_part_of_another_project_is_refused(project: Project, tmp_path: Path, parts: tuple[str, ...]) -> None:
    other = Project.create(tmp_path / "q", "acme")
    grow(other, "first")
    for part in parts:
        restore(project.root, other.root, part)
    before = contents(project.root)
    with pytest.raises(InvalidData, match="project"):
        Project.open(project.root)
    assert contents(project.root) == before


def test_a_part_that_is_restored_under_an_open_project_is_refused_at_the_next_write(
    project: Project, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    grow(project, "later")
    for part in ("ledger.db", "keys"):
        saved = Path(shutil.copytree(project.root, tmp_path / f"saved-{part}"))
        restore(project.root, older, part)
        before = contents(project.root / "keys")
        with pytest.raises(InvalidData, match="older"):
            project.ledger.open_request("first", ["first 0"])
        with pytest.raises(InvalidData, match="older"):
            project.ledger.sweep()
        assert contents(project.root / "keys") == before
        restore(project.root, saved, part)


def test_a_lost_configuration_or_ledger_is_not_made_anew(project: Project) -> None:
    (project.root / "expunge.toml").unlink()
    with pytest.raises(InvalidData, match=r"expunge\.toml is older"):
        Project.create(project.root, "acme")
    for path in project.root.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(InvalidData, match=r"keys/ of a ledger\.db that is gone"):
        Project.create(project.root, "acme")


KILLED = """
import os, sys
from pathlib import Path
import expunge.workflow.project.project as module
from expunge.ledger import Columns, Ledger
real = getattr({where}, {name!r})
def killed(*arguments):
    if {after}:
        real(*arguments)
    os._exit(9)
setattr({where}, {name!r}, killed)
project = module.Project.open(Path(sys.argv[1]))
with project.writing():
    project.ledger.add_dataset("killed", Path(sys.argv[2]), Columns(subject="who", answer="answer"))
"""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where, name", [("module", "show_stamp"), ("Ledger", "note_shown")])
def test_a_kill_while_the_configuration_is_brought_up_is_recognised(
    project: Project, tmp_path: Path, where: str, name: str, after: bool
) -> None:
    code = KILLED.format(where=where, name=name, after=after)
    run = [sys.executable, "-c", code, str(project.root), str(tmp_path / "p-first.csv")]
    assert subprocess.run(run).returncode == 9
    again = Project.open(project.root)
    assert [d.name for d in again.ledger.datasets()] == ["first", "killed"]
    with again.writing():
        pass
    assert again.config["generation"] == again.ledger.stamp().generation


def test_the_configuration_keeps_what_others_wrote_into_it(project: Project) -> None:
    path = project.root / "expunge.toml"
    path.write_text(path.read_text() + '\n# a note\n[service]\nid = "mine"\n')
    grow(project, "later")
    stamp = project.ledger.stamp()
    assert Project.open(project.root).config == {
        "name": "acme",
        "layout": 1,
        "id": stamp.id,
        "generation": stamp.generation,
        "service": {"id": "mine"},
    }
    assert "# a note" in path.read_text()


@pytest.mark.parametrize("text", ["name = ", 'name = "a"\nlayout = 1\nid = 7\n', "layout = 1\ngeneration = 'x'\n"])
def test_a_damaged_configuration_is_named(project: Project, text: str) -> None:
    (project.root / "expunge.toml").write_text(text)
    with pytest.raises(InvalidData, match=r"expunge\.toml (is|are) damaged"):
        Project.open(project.root)


def test_a_project_of_an_earlier_release_gets_its_count_at_the_first_writing(project: Project) -> None:
    """Neither a count beside the keys nor an id in the configuration."""
    back_to_the_first(project.ledger)
    (project.root / "expunge.toml").write_text('name = "acme"\nlayout = 1\n')
    again = Project.open(project.root)
    assert list(project.root.glob("ledger.before-*"))
    with again.writing():
        again.ledger.open_request("first", ["first 0"])
    stamp = again.ledger.stamp()
    assert stamp.generation > 0
    assert json.loads((project.root / "keys" / "generation.json").read_text())["settled"] == stamp.generation
    assert Project.open(project.root).config["id"] == stamp.id


# People without keys cannot be gone on with: `_check_keys` refuses them.
WITH_KEYS = [parts for parts in SOME if "keys" not in parts or "ledger.db" in parts]


@pytest.mark.parametrize("parts", WITH_KEYS, ids="+".join)
def test_one_may_go_on_from_parts_of_different_moments(
    project: Project, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    older = Path(shutil.copytree(project.root, tmp_path / "older"))
    grow(project, "later")
    for part in parts:
        restore(project.root, older, part)
    again = Project.open(project.root, restored=True)
    grow(again, "more")
    assert Project.open(project.root).ledger.stamp() == again.ledger.stamp()
