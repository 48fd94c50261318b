import os
import subprocess
import sys
from pathlib import Path

import pytest

from expunge.core.durable import only_writer, write_durably
from expunge.core.errors import ProjectLocked


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write_durably(path, b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"


WRITES_ON = """
import os, sys
from pathlib import Path
from expunge.core.durable import written_whole

with written_whole(Path(sys.argv[1])) as beside:
    beside.write_bytes(b"half of it")
    print(beside.name, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_half_written_goes_and_what_a_live_one_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    start = [sys.executable, "-c", WRITES_ON, str(path)]
    live, killed = (subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2))
    assert live.stdout
    assert killed.stdout
    left = [process.stdout.readline().strip() for process in (live, killed)]  # type: ignore[union-attr]
    killed.kill()
    killed.communicate()
    assert {p.name for p in tmp_path.iterdir()} == set(left)
    write_durably(path, b"whole")
    assert {p.name for p in tmp_path.iterdir()} == {"file", left[0]}
    live.communicate("")
    assert live.returncode == 0
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"half of it"], "the last to end is the one there"


def test_the_lock_is_given_back_even_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_writer(tmp_path):
        raise KeyError
    with only_writer(tmp_path), pytest.raises(ProjectLocked), only_writer(tmp_path):
        pass
