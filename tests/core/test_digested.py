"""A file under the digest of its content: any byte that changed since is noticed, and a later one takes its place."""

from pathlib import Path

import pytest

from expunge.core.digested import find_digested, remove_digested, written_digested
from expunge.core.errors import UnreadableModel


def _write(path: Path, data: bytes) -> None:
    with written_digested(path) as beside:
        beside.write_bytes(data)


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path, data = tmp_path / "run.part", bytes(range(50))
    _write(path, data)
    found = find_digested(path)
    assert found is not None
    for i in range(len(data)):
        found.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        with pytest.raises(UnreadableModel, match=rf"run.part in {tmp_path} is damaged: .* start again"):
            find_digested(path)
    for other in (data[:-1], data + b"0", b""):
        found.write_bytes(other)
        with pytest.raises(UnreadableModel):
            find_digested(path)
    found.write_bytes(data)
    assert find_digested(path) == found


def test_the_last_one_written_is_the_one_there(tmp_path: Path) -> None:
    path = tmp_path / "run.part"
    assert find_digested(path) is None
    for data in (b"one", b"two", b"two"):
        _write(path, data)
        found = find_digested(path)
        assert found is not None
        assert found.read_bytes() == data
        assert list(tmp_path.iterdir()) == [found]
    _write(tmp_path / "run.stage", b"of another name")
    _write(tmp_path / "rerun.part", b"of another name")
    remove_digested(path)
    assert find_digested(path) is None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_one_does_not_hide_a_whole_one(tmp_path: Path) -> None:
    """As where a process died between putting the new one there and removing the old."""
    path = tmp_path / "run.part"
    _write(path, b"whole")
    for digit in "0f":
        (tmp_path / f"run.{digit * 64}.part").write_bytes(b"damaged")
    found = find_digested(path)
    assert found is not None
    assert found.read_bytes() == b"whole"


def test_a_write_that_stops_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.part"
    _write(path, b"one")

    def stops() -> None:
        with written_digested(path) as beside:
            beside.write_bytes(b"tw")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stops()
    found = find_digested(path)
    assert found is not None
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"one"]
