"""What the operating system and SQLite refuse, as errors of ours: known by their numbers, never by their words.

Sources: errno(3); sqlite.org/rescode.html, of which Python keeps the number in `sqlite_errorcode`.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expunge.core.errors import ExpungeError, InvalidData, ProjectLocked, StorageFull, SystemRefused

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_WRITE_REFUSED = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)
_FORBIDDEN_BY_SQLITE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
_NO_ROOM = 256 << 10  # bytes: a disk on which SQLite cannot make the files beside a database
_OF_RUST = re.compile(r"\(os error (\d+)\)")  # libraries in Rust, as safetensors, raise errors of their own


@contextmanager
def explaining(what: Path | str) -> Iterator[None]:
    """Name what the system refuses about a path, or about what is done. A file that is missing or in the way stays the
    system's own error, for callers tell these apart.

    Raises: StorageFull; SystemRefused; ProjectLocked or InvalidData, for a database that is in use or damaged.
    """
    try:
        yield
    except Exception as e:
        number = _number(e)
        if isinstance(e, OSError) and number not in (*_FULL, *_FORBIDDEN):
            raise
        if (known := explained(e, what)) is None:
            raise
        raise known from e


def explained(error: BaseException, what: Path | str = "") -> ExpungeError | None:
    """The error of ours for one of the system's, of SQLite or of SQLAlchemy over it; None for any other.

    >>> explained(OSError(errno.ENOSPC, "No space left on device"), "the page")
    StorageFull('no room on the disk for the page; free some space and try again')
    >>> explained(ValueError("no space left")) is None
    True
    """
    if isinstance(error, ExpungeError):
        return None
    cause = getattr(error, "orig", None) or error  # SQLAlchemy keeps the driver's error there
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, what)
    if (number := _number(error)) is None:
        return None
    where = _place(error, what)
    if number in _FULL:
        return StorageFull(f"no room on the disk for {where}; free some space and try again")
    reason = os.strerror(number)
    if number == errno.EROFS:
        return SystemRefused(f"{where} lies on a read-only file system; write to another place")
    if number in _FORBIDDEN:
        return SystemRefused(f"the system does not allow this user to use {where} ({reason}); change its permissions")
    return SystemRefused(f"the system refused {where} ({reason}); mend that and try again")


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _OF_RUST.search(str(error))
    return int(found[1]) if found else None


def _place(error: BaseException, what: Path | str) -> str:
    """The file that the system names, unless it is one that is written beside another; else what it was about."""
    name = getattr(error, "filename", None)
    file = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    return (file if file and not file.endswith(".tmp") else "") or str(what) or "a file"


def _of_sqlite(error: sqlite3.Error, what: Path | str) -> ExpungeError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    where, kind = (what.name if isinstance(what, Path) else what) or "the database", code & 0xFF
    if code in _WRITE_REFUSED or (kind in _FORBIDDEN_BY_SQLITE and _is_full(what)):
        return StorageFull(f"no room on the disk for {where}; nothing was changed, free some space and try again")
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ProjectLocked(f"{where} is locked by another process; try again when it ends")
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return InvalidData(f"{where} is damaged or not a ledger ({error}); restore it from a backup")
    if kind in _FORBIDDEN_BY_SQLITE:
        return SystemRefused(f"{where} cannot be opened or written ({error}); look at its place and its permissions")
    return None


def _is_full(what: Path | str) -> bool:
    """SQLite says of a full disk that it cannot open a file, when it cannot make one beside the database."""
    if not isinstance(what, Path):
        return False
    try:
        found = os.statvfs(what.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _NO_ROOM and not found.f_flag & os.ST_RDONLY
