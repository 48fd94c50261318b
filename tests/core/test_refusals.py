"""What the system refuses is known by its number, whatever words a library puts around it."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from expunge.core.errors import ExpungeError, InvalidData, ProjectLocked, StorageFull, SystemRefused
from expunge.core.refusals import explained, explaining


def _of_sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("no words that anybody could know")
    error.sqlite_errorcode = code
    return error


NUMBERS = {
    errno.ENOSPC: StorageFull,
    errno.EFBIG: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EACCES: SystemRefused,
    errno.EPERM: SystemRefused,
    errno.EROFS: SystemRefused,
    errno.EIO: SystemRefused,
    errno.ENOENT: SystemRefused,
}
CODES = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_IOERR_WRITE: StorageFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: StorageFull,
    sqlite3.SQLITE_IOERR_READ: SystemRefused,
    sqlite3.SQLITE_BUSY: ProjectLocked,
    sqlite3.SQLITE_BUSY_SNAPSHOT: ProjectLocked,
    sqlite3.SQLITE_CORRUPT: InvalidData,
    sqlite3.SQLITE_NOTADB: InvalidData,
    sqlite3.SQLITE_READONLY: SystemRefused,
    sqlite3.SQLITE_READONLY_DIRECTORY: SystemRefused,
    sqlite3.SQLITE_CANTOPEN: SystemRefused,
}


@pytest.mark.parametrize("number", NUMBERS)
def test_the_system_is_understood_by_number(number: int) -> None:
    found = explained(OSError(number, "words"), "the page")
    assert type(found) is NUMBERS[number]
    assert "the page" in str(found)


@pytest.mark.parametrize("code", CODES)
def test_sqlite_is_understood_by_number_also_under_sqlalchemy(code: int) -> None:
    for error in (_of_sqlite(code), OperationalError("SELECT ?", ("Ada Lind",), _of_sqlite(code))):
        found = explained(error, Path("/a/ledger.db"))
        assert type(found) is CODES[code]
        assert "ledger.db" in str(found)
        assert "Ada" not in str(found)


def test_a_library_in_rust_says_the_number_in_its_text() -> None:
    assert isinstance(explained(RuntimeError("I/O error: whatever (os error 28)")), StorageFull)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("No space left on device"),
        RuntimeError("disk is full"),
        sqlite3.IntegrityError("UNIQUE constraint failed"),
        _of_sqlite(sqlite3.SQLITE_CONSTRAINT),
        _of_sqlite(sqlite3.SQLITE_ERROR),
        InvalidData("ours"),
    ],
    ids=repr,
)
def test_words_alone_and_faults_of_the_program_are_not_the_systems(error: Exception) -> None:
    assert explained(error) is None
    with pytest.raises(type(error)) as raised, explaining("here"):
        raise error
    assert raised.value is error


def test_what_is_missing_or_in_the_way_stays_the_systems_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explaining(tmp_path):
        (tmp_path / "no").read_bytes()
    with pytest.raises(FileExistsError), explaining(tmp_path):
        tmp_path.mkdir()


def test_the_file_that_the_system_names_is_named() -> None:
    named = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/people.csv")
    with pytest.raises(SystemRefused, match=r"/data/people\.csv"), explaining("ledger.db"):
        raise named
    with pytest.raises(ExpungeError) as outer, explaining("outer"), explaining("inner"):
        raise OSError(errno.ENOSPC, "full")
    assert "inner" in str(outer.value)
