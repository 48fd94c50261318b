"""Write a file so that after a crash it is either the old one or the new one, whole, and on disk."""

import errno
import os
import platform
import re
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from expunge.core.errors import ProjectLocked, StorageFull

TEMPORARY = ".tmp"
_NODE = f"{zlib.crc32(platform.node().encode()):08x}"
_WRITER = re.compile(rf"\.(?P<node>[0-9a-f]{{8}})-(?P<pid>[0-9a-f]+)-[0-9a-f]{{8}}{re.escape(TEMPORARY)}$")


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write beside, flush to disk, rename, flush the folder. An error leaves nothing beside; a kill may leave a file."""
    with (
        written_whole(path) as beside,
        os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file,
    ):
        file.write(data)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside to write a file to, which then appears under its name, whole and on disk.

    Raises: StorageFull, with what was there before in place.
    """
    with place_beside(path) as beside:
        yield beside
        put(beside, path)


@contextmanager
def place_beside(path: Path) -> Iterator[Path]:
    """A place for what will be this file, and this writer's own: two processes may write the same file at once.

    Raises: StorageFull.
    """
    with room_on_disk(path.parent):
        make_folder(path.parent)
        _clear_of_the_dead(path.parent.absolute())
        beside = path.with_name(f".{path.name}.{_NODE}-{os.getpid():x}-{secrets.token_hex(4)}{TEMPORARY}")
        try:
            yield beside
        finally:
            beside.unlink(missing_ok=True)


@cache
def _clear_of_the_dead(folder: Path) -> None:
    """Remove what processes of this machine that are gone were writing here; looked for once by every process."""
    for path in folder.glob(f".*{TEMPORARY}"):
        writer = _WRITER.search(path.name)
        if writer and writer["node"] == _NODE and not _alive(int(writer["pid"], 16)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    """True where it cannot be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def put(beside: Path, path: Path) -> None:
    """Give what was written beside its name, whole and on disk."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, flushed: a file is only on disk if the way to it is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names; without it, a rename can be lost with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Raises: StorageFull, in place of the system's error when the disk refuses a write."""
    try:
        yield
    except Exception as e:
        if not _says_full(e):
            raise
        raise StorageFull(f"no room on the disk of {folder}; free some space and try again") from e


def _says_full(error: Exception) -> bool:
    """Libraries in Rust, as safetensors, raise errors of their own, which end in the system's number."""
    number = error.errno if isinstance(error, OSError) else None
    return any(number == full or f"(os error {full})" in f"{error}" for full in (errno.ENOSPC, errno.EDQUOT))


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder as its only writer. The lock is on the folder itself and dies with the process.

    Raises: ProjectLocked, if another writer holds it.
    """
    import fcntl  # POSIX only; imported here so that checking a certificate works elsewhere too

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise ProjectLocked(
                f"another process is appending to the log at {folder}; try again when it is done"
            ) from e
        yield
    finally:
        os.close(handle)
