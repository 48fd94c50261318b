import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from expunge.core.durable import write_durably
from expunge.core.errors import ProjectLocked, StorageFull
from expunge.workflow.project.files import new_folder, only_writer


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "model"

    def stops() -> None:
        with new_folder(final) as folder:
            (folder / "half").write_text("x")
            assert not final.exists()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stops()
    assert not final.exists()
    assert list(final.parent.iterdir()) == []
    with new_folder(final) as folder:
        (folder / "whole").write_text("x")
    assert [p.name for p in final.iterdir()] == ["whole"]
    assert list(final.parent.iterdir()) == [final]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "m") as folder:
        (folder / "a").write_text("old")

    def fails() -> None:
        with new_folder(tmp_path / "m") as folder:
            (folder / "a").write_text("new")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert (tmp_path / "m" / "a").read_text() == "old"


FILLS = """
import sys
from pathlib import Path
from expunge.workflow.project.files import new_folder

with new_folder(Path(sys.argv[1])) as folder:
    (folder / "stale").write_text("x")
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_leftovers_of_a_kill_are_not_taken_in_and_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILLS, str(tmp_path / "m")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "begun\n"
        killed.kill()
    assert len(list(tmp_path.iterdir())) == 1
    with new_folder(tmp_path / "m") as folder:
        (folder / "fresh").write_text("x")
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["fresh"]
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_file_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_durably(path, b"old", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="free some space"):
            write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_one_process_writes(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from expunge.workflow.project.files import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ProjectLocked, match="repeat"), only_writer(tmp_path):
            pass
        other.kill()
        other.wait()
        with only_writer(tmp_path):
            pass
