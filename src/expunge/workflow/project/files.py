"""Writes that are whole or not there: new folders appear under their name only when complete."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from expunge.core.durable import folder_beside, make_folder, remove_durably, rename_durably, sync_folder
from expunge.core.errors import ProjectLocked
from expunge.core.refusals import explaining

_writing: ContextVar[Path | None] = ContextVar("writing", default=None)  # of each thread its own

# What Expunge makes in a project; what users keep beside it is theirs.
_OWN = ("expunge.toml", "signer.pub.pem", "lock", "bases", "evidence", "log", "lost", "models", "runs", "work")


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends well, and disappears when it does not."""
    with folder_beside(final) as staging:
        yield staging
        for path in [staging, *staging.rglob("*")]:
            sync_folder(path)
        if final.exists():
            remove_durably(final)
        rename_durably(staging, final)


def make_private(folder: Path) -> None:
    """Make a folder that its owner alone can look into, or close to others one that is there."""
    make_folder(folder)
    folder.chmod(0o700)


@contextmanager
def for_owner_alone() -> Iterator[None]:
    """New files and folders of this process, whichever library makes them, are their owner's alone to read."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def tighten(root: Path) -> None:
    """Close to others a project that an earlier release made: its folders and files first, so that a kill repeats it."""
    if not root.stat().st_mode & 0o077:
        return
    for name in _OWN:
        for path in [root / name, *(root / name).rglob("*")]:
            if path.exists() and not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
    root.chmod(0o700)


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold the project's lock; it falls with the process, however that ends.

    Raises: ProjectLocked.
    """
    with explaining(root / "lock"):
        file = (root / "lock").open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise ProjectLocked(f"another process is writing to {root}; wait for it to end, then repeat") from e
        before = _writing.set(root)
        try:
            yield
        finally:
            _writing.reset(before)


def is_only_writer(root: Path) -> bool:
    """Whether this thread holds the project's lock: then nobody who held a step before is at work any more."""
    return _writing.get() == root
