"""Write a file so that after a crash it is either the old one or the new one, whole, and on disk."""

import os
import platform
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from expunge.core.errors import InvalidData, ProjectLocked
from expunge.core.refusals import explaining

TEMPORARY = ".tmp"
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)  # which Windows has not
_NODE = f"{zlib.crc32(platform.node().encode()):08x}"
_WRITER = re.compile(rf"\.(?P<node>[0-9a-f]{{8}})-(?P<pid>[0-9a-f]+)-[0-9a-f]{{16}}{re.escape(TEMPORARY)}")


def write_durably(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write beside, flush to disk, rename, flush the folder. An error leaves nothing beside; a kill may leave a file.

    Without a mode the file gets that of every new file of this process.
    """
    with written_whole(path, mode) as beside, beside.open("wb") as file:
        file.write(data)


@contextmanager
def written_whole(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A place beside to write a file to, which then appears under its name, whole and on disk.

    Raises: StorageFull, with what was there before in place.
    """
    with place_beside(path, mode) as beside:
        yield beside
        put(beside, path)


@contextmanager
def place_beside(path: Path, mode: int | None = None) -> Iterator[Path]:
    """An empty file for what will be this file, and this writer's own: two processes may write the same file at once.

    Nobody can guess its name, and it is made where nothing was, so that no link leads it elsewhere.

    Raises: StorageFull; SystemRefused.
    """
    with explaining(path.parent):
        make_folder(path.parent)
        beside = name_beside(path)
        try:
            with os.fdopen(os.open(beside, _NEW, 0o600 if mode else 0o666), "wb") as file:  # less the umask
                if mode:
                    os.fchmod(file.fileno(), mode)
            yield beside
        finally:
            for leftover in (beside, *beside.parent.glob(f"{beside.name}-*")):  # SQLite keeps journals beside
                leftover.unlink(missing_ok=True)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """As `place_beside`, an empty folder for what will be this folder."""
    with explaining(path.parent):
        make_folder(path.parent)
        beside = name_beside(path)
        beside.mkdir()
        try:
            yield beside
        finally:
            if beside.exists():
                remove_durably(beside)


def name_beside(path: Path) -> Path:
    """A name that this process alone uses; what processes that are gone left beside is removed."""
    _clear_of_the_dead(path.parent.absolute())
    return path.with_name(f".{path.name}.{_NODE}-{os.getpid():x}-{secrets.token_hex(8)}{TEMPORARY}")


@cache
def _clear_of_the_dead(folder: Path) -> None:
    """Remove what processes of this machine that are gone were writing here; looked for once by every process."""
    for path in folder.glob(f".*{TEMPORARY}*"):
        writer = _WRITER.search(path.name)
        if writer and writer["node"] == _NODE and not (path.is_symlink() or _alive(int(writer["pid"], 16))):
            with suppress(FileNotFoundError):  # another process looks too
                remove_durably(path)


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
    rename_durably(beside, path)


def rename_durably(old: Path, new: Path) -> None:
    """Rename a file or folder, and flush the lists of names: without that, the old name can come back with the power."""
    os.replace(old, new)
    sync_folder(new.parent)
    if old.parent != new.parent:
        sync_folder(old.parent)


def link_durably(old: Path, new: Path) -> None:
    """Give a file a second name, flushed. Raises: FileExistsError; unlike a rename this never replaces what is there."""
    sync_folder(old)
    os.link(old, new)
    sync_folder(new.parent)


def remove_durably(path: Path) -> None:
    """Remove a file or a folder with all that is in it, and flush the list of names: what is said to be gone is gone from disk.

    What is not there is no error, and is flushed too: an earlier call may have been stopped between the two.

    Raises: InvalidData, for a link, which leads to what would stay; nothing is removed then.
    """
    if path.is_symlink():
        raise InvalidData(f"{path} is a link, and what it leads to would stay; remove that, and the link, by hand")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if path.parent.exists():
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
