"""How SQLite files are opened: for writing, readable by their owner only, or as they lie on a place that cannot be written to."""

import os
import sqlite3
from pathlib import Path

BUSY_S = 30.0


def is_read_only(path: Path) -> bool:
    """Whether the system keeps this user from writing to a database: to its file, or beside it, where its journals lie."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def connect(path: Path) -> sqlite3.Connection:
    """A connection in which transactions begin where they are said to begin, not where the driver guesses."""
    if not is_read_only(path):
        return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    # sqlite.org/wal.html#readonly: without the files of a write-ahead log it opens only as one that nobody changes. Where
    # there is a log it must be read, or what was committed last would be missing.
    log = path.with_name(f"{path.name}-wal")
    unchanging = "" if log.exists() and log.stat().st_size else "&immutable=1"
    uri = f"{path.absolute().as_uri()}?mode=ro{unchanging}"
    return sqlite3.connect(uri, timeout=BUSY_S, isolation_level=None, uri=True)


def touch_private(path: Path) -> None:
    """Create an empty file of mode 0600, if there is none; SQLite gives its journals the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
