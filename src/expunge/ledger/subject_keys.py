"""One random key per subject, in a SQLite file of its own, so that a key can be destroyed for good."""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from expunge.core.errors import InvalidData, UnknownSubject
from expunge.core.refusals import explaining
from expunge.ledger.secret_files import KEY_BYTES, check_private
from expunge.ledger.sqlite_files import connect, is_read_only, touch_private

_SCHEMA = "CREATE TABLE IF NOT EXISTS subject_key (ref TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID"
_UNSETTLED = "PRAGMA user_version = 0"  # a number in SQLite's header, which is part of the transaction


class SubjectKeys:
    """The keys under which subjects' records are committed. A backup of them undoes every later erasure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made: set[str] = set()  # by this process, in the transaction that is under way

    def create(self, refs: Iterable[str]) -> dict[str, bytes]:
        """A new key for every reference, in one transaction."""
        keys = {ref: secrets.token_bytes(KEY_BYTES) for ref in refs}
        self.add(keys.items())
        return keys

    def add(self, keys: Iterable[tuple[str, bytes]]) -> None:
        """New keys by reference, in one transaction."""
        keys = sorted(keys)  # as the table has them
        with self._transaction() as connection:
            connection.execute(_UNSETTLED)
            connection.executemany("INSERT INTO subject_key VALUES (?, ?)", keys)
        self.made.update(ref for ref, _ in keys)

    def put(self, keys: Mapping[str, bytes]) -> None:
        """Hold these keys too, which another file held."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO subject_key VALUES (?, ?)", keys.items())

    def unsettle(self) -> None:
        """Whose keys there should be is about to change: whatever stops it, `settled_at` is None until `settle`."""
        with self._transaction() as connection:
            connection.execute(_UNSETTLED)

    def settle(self, n_erasures: int) -> None:
        """The keys that there are were compared with the ledger, when it knew of so many erasures."""
        with self._connected() as connection:
            connection.execute(f"PRAGMA user_version = {n_erasures + 1:d}")

    def settled_at(self) -> int | None:
        """Of how many erasures the ledger knew when the keys, as they are here, were compared with it.

        None: keys were made since, or an earlier release wrote the file. A file from a backup knows of fewer.
        """
        with self._connected() as connection:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        return found - 1 if found else None

    def count(self) -> int:
        """How many keys there are; none where there is no file.

        Raises: InvalidData, where the file is shorter than it says.
        """
        if not self.path.exists():
            return 0
        self._check_whole()
        with self._connected() as connection:
            return int(connection.execute("SELECT count(*) FROM subject_key").fetchone()[0])

    def refs(self) -> set[str]:
        """Whose keys there are."""
        with self._connected() as connection:
            return {ref for (ref,) in connection.execute("SELECT ref FROM subject_key")}

    def all(self) -> dict[str, bytes]:
        """Every key that exists, by reference."""
        with self._connected() as connection:
            return dict(connection.execute("SELECT ref, key FROM subject_key"))

    def get(self, ref: str) -> bytes:
        """One key.

        Raises: UnknownSubject, if it was destroyed or never made.
        """
        with self._connected() as connection:
            row = connection.execute("SELECT key FROM subject_key WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            raise UnknownSubject("this subject has no key: it was destroyed at the end of an erasure, or never made")
        return bytes(row[0])

    def destroy(self, refs: Iterable[str]) -> None:
        """Delete keys so that their bytes are nowhere in the folder. Destroying a key twice is no error."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM subject_key WHERE ref = ?", ((ref,) for ref in refs))
        # Also when nothing was deleted: an earlier run may have been killed between the two.
        with self._connected() as connection:
            connection.execute("VACUUM")

    def _check_whole(self) -> None:
        """SQLite reads what is cut off as zeros."""
        with self.path.open("rb") as file:
            header = file.read(32)  # sqlite.org/fileformat.html 1.3: page size at 16, pages at 28
        if len(header) < 32:
            return  # empty, as before its first use
        size = int.from_bytes(header[16:18], "big")
        expected = (65536 if size == 1 else size) * int.from_bytes(header[28:32], "big")
        if self.path.stat().st_size < expected:
            raise InvalidData(
                f"{self.path.name} is cut off: it holds {self.path.stat().st_size} of {expected} bytes; restore it from the backup "
                "of the keys"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        read_only = is_read_only(self.path)
        if not read_only:
            touch_private(self.path)
        check_private(self.path)
        with explaining(self.path), closing(connect(self.path)) as connection:
            if not read_only:
                # A rollback journal, not a write-ahead log: it is gone when the transaction ends.
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA temp_store = MEMORY")
                connection.execute(_SCHEMA)
            yield connection
