import os
from pathlib import Path

import pytest

from expunge.core.durable import only_writer, room_on_disk, write_durably
from expunge.core.errors import ProjectLocked, StorageFull


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_durably(path, b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"


def test_only_a_full_disk_is_called_full() -> None:
    with pytest.raises(StorageFull, match="free some space"), room_on_disk(Path("here")):
        raise OSError(28, "No space left on device")
    with pytest.raises(PermissionError), room_on_disk(Path("here")):
        raise PermissionError(13, "Permission denied")


def test_the_lock_is_given_back_even_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_writer(tmp_path):
        raise KeyError
    with only_writer(tmp_path), pytest.raises(ProjectLocked), only_writer(tmp_path):
        pass
