"""What is said to be purged is gone from disk, and named if it comes back."""

import ast
import os
from pathlib import Path
from typing import Any

import pytest

import expunge
from expunge.core.durable import link_durably, remove_durably, rename_durably, write_durably
from expunge.core.errors import InvalidData

SOURCE = Path(expunge.__file__).parent
BARE = {"rmtree", "unlink", "rename", "renames", "removedirs", "move"}  # of any module or path
OF_OS = {"replace", "remove"}  # texts and lists have methods of these names
# Why a file may do it: none needs to, so far.
ALLOWED: dict[str, str] = {}


def _bare(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    name, of = node.func.attr, node.func.value
    return name in BARE or (name in OF_OS and isinstance(of, ast.Name) and of.id in ("os", "shutil"))


def test_files_of_a_project_are_removed_and_renamed_durably_alone() -> None:
    found = [
        f"{name}:{node.lineno}"
        for room in ("workflow", "ledger")
        for path in sorted((SOURCE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (name := path.relative_to(SOURCE).as_posix()) not in ALLOWED and _bare(node)
    ]
    assert found == [], "use remove_durably or rename_durably of expunge.core.durable"


@pytest.mark.parametrize("call", ["shutil.rmtree(p)", "os.replace(a, b)", "p.unlink()", "p.rename(q)", "os.unlink(p)"])
def test_the_rule_sees_every_bare_call(call: str) -> None:
    assert any(_bare(node) for node in ast.walk(ast.parse(call)))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed, and what is there at that moment."""
    real, seen = os.fsync, list[str]()

    def fsync(handle: int) -> None:
        seen.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_the_list_of_names_is_flushed_after_every_change(tmp_path: Path, synced: list[str]) -> None:
    def flushed(change: Any) -> list[str]:
        synced.clear()
        change()
        return list(synced)

    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    write_durably(a / "f", b"x")
    assert flushed(lambda: rename_durably(a / "f", b / "g")) == [str(b), str(a)]
    assert flushed(lambda: link_durably(b / "g", a / "h")) == [str(b / "g"), str(a)]
    assert flushed(lambda: remove_durably(b / "g")) == [str(b)]
    assert flushed(lambda: remove_durably(b / "g")) == [str(b)], "an earlier call may have been stopped between the two"
    assert flushed(lambda: remove_durably(a)) == [str(tmp_path)]
    assert flushed(lambda: remove_durably(a / "deep" / "er")) == []
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_link_is_refused_before_anything_is_removed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "model").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(InvalidData, match="is a link"):
        remove_durably(tmp_path / "link")
    assert (tmp_path / "there" / "model").exists()
    assert (tmp_path / "link").is_symlink()


def test_a_link_is_never_replaced_by_linking(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        link_durably(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "b"
