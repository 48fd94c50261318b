"""Files that carry the digest of their content in their name, so that a damaged one is never read.

A file that is to be known as `run.stage` lies as `run.<digest>.stage`. The name and the content come at once, with one
renaming; bytes that changed since, by a disk or a hand, no longer agree with it.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expunge.core.digests import sha256_file
from expunge.core.durable import place_beside, put
from expunge.core.errors import UnreadableModel


@contextmanager
def written_digested(path: Path) -> Iterator[Path]:
    """A place beside to write a file to, which then is the one that `find_digested` finds, whole and on disk.

    Raises: StorageFull, with what was there before in place.
    """
    with place_beside(path) as beside:
        yield beside
        before = _versions(path)
        now = path.with_name(f"{path.stem}.{sha256_file(beside)}{path.suffix}")
        put(beside, now)
        for old in before:
            if old != now:
                old.unlink(missing_ok=True)


def find_digested(path: Path) -> Path | None:
    """Where the file known by this name lies; None where none was written.

    Raises: UnreadableModel, where it is damaged.

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name) / "run.stage"
    >>> with written_digested(path) as beside:
    ...     _ = beside.write_bytes(b"weights")
    >>> found = find_digested(path)
    >>> found.read_bytes(), found.name[:12]
    (b'weights', 'run.9a129038')
    >>> _ = found.write_bytes(b"weighty")
    >>> find_digested(path)
    Traceback (most recent call last):
        ...
    expunge.core.errors.UnreadableModel: ...
    """
    damaged = False
    for found in _versions(path):
        with suppress(FileNotFoundError):  # another process has just put a later one there
            if f".{sha256_file(found)}{path.suffix}" == found.name.removeprefix(path.stem):
                return found
            damaged = True
    if damaged:
        raise UnreadableModel(
            f"the {path.name} in {path.parent} is damaged: its bytes are not those that were written; remove that folder "
            "and start again"
        )
    return None


def remove_digested(path: Path) -> None:
    """Remove the file known by this name."""
    for found in _versions(path):
        found.unlink(missing_ok=True)


def _versions(path: Path) -> list[Path]:
    """All files known by this name: more than one where a process died, or two wrote at once."""
    name = re.compile(rf"{re.escape(path.stem)}\.[0-9a-f]{{64}}{re.escape(path.suffix)}")
    with suppress(FileNotFoundError):
        return sorted(path.with_name(found) for found in os.listdir(path.parent) if name.fullmatch(found))
    return []
