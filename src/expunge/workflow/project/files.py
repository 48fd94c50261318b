"""Writes that are whole or not there: new folders appear under their name only when complete."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expunge.core.durable import sync_folder
from expunge.core.errors import ProjectLocked, StorageFull

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FULL_WORDS = (
    "No space left",
    "File too large",
    "Disk quota",
    "os error 28",
    "os error 27",
    "disk is full",
    "disk I/O error",
)


@contextmanager
def full_disk_named(what: str) -> Iterator[None]:
    """Turn every library's way of saying "disk full" into one error.

    Raises: StorageFull.
    """
    try:
        yield
    except Exception as e:
        if getattr(e, "errno", None) in _FULL or any(words in str(e) for words in _FULL_WORDS):
            raise StorageFull(
                f"the disk refused a write during {what} ({e}); nothing was changed, free space and repeat"
            ) from e
        raise


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends well, and disappears when it does not."""
    staging = final.with_name(f".{final.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        for path in [p for p in staging.rglob("*") if p.is_file()]:
            sync_folder(path)
        if final.exists():
            shutil.rmtree(final)
        os.replace(staging, final)
        sync_folder(final.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold the project's lock; it falls with the process, however that ends.

    Raises: ProjectLocked.
    """
    with (root / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise ProjectLocked(f"another process is writing to {root}; wait for it to end, then repeat") from e
        yield
