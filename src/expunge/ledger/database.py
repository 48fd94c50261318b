"""The SQLite database: transactions that are all or nothing, and deletion that leaves no bytes behind."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import local
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from expunge.core.durable import sync_folder
from expunge.core.errors import ExpungeError, InvalidData, NotReady, ProjectLocked, StorageFull
from expunge.ledger.generation import Stamp, Witness
from expunge.ledger.tables import ProjectRow

BUSY_S = 30.0
_COPY = ".copy.db"
_PRAGMAS = (
    f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    # Without this, INSERT OR REPLACE would delete a row past the triggers that refuse deletion.
    "PRAGMA recursive_triggers = ON",
    # VACUUM and large sorts would otherwise leave copies of pages in the system's folder for temporary files.
    "PRAGMA temp_store = MEMORY",
)


class Database:
    """One SQLite file, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.witness: Witness | None = None  # told of every write
        self._local = local()
        # No pool: every connection is closed after use, so that no idle one keeps the write-ahead log from
        # truncation.
        url = URL.create("sqlite", database=str(path))
        self.engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_S})
        self._writing = self.engine.execution_options(expunge_begin="BEGIN IMMEDIATE")
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside `write()`."""
        return getattr(self._local, "session", None) is not None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction, alone among writers: everything inside takes effect, or nothing.

        Inside another `write()` of the same thread it joins that transaction, as a savepoint of it.
        """
        outer: Session | None = getattr(self._local, "session", None)
        if outer is not None:
            with outer.begin_nested():
                yield outer
            return
        with (
            translated(self.path),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # takes the writers' lock now, not at the first statement
            self._local.session = session
            try:
                yield session
            finally:
                self._local.session = None
            stamp = self._counted(session)
        if stamp and self.witness:
            self.witness.after(stamp)

    def _counted(self, session: Session) -> Stamp | None:
        """The count of writes, one more if anything was written; the witness knows it before the commit."""
        session.flush()
        raw: Any = session.connection().connection.driver_connection
        if self.witness is None or raw.total_changes == 0:
            return None
        session.execute(update(ProjectRow).values(generation=ProjectRow.generation + 1))
        stamp = self.stamp(session)
        self.witness.before(stamp)
        return stamp

    def stamp(self, session: Session) -> Stamp:
        """Who the project is, and how often it was written to."""
        row = session.scalars(select(ProjectRow)).one()
        return Stamp(row.id, row.generation)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view, shared by reads inside it; inside `write()` it sees what that one has done."""
        local = self._local
        outer: Session | None = getattr(local, "session", None) or getattr(local, "reading", None)
        if outer is not None:
            yield outer
            return
        with translated(self.path), Session(self.engine) as session, session.begin():
            local.reading = session
            try:
                yield session
            finally:
                local.reading = None

    def copy(self, name: str) -> Path:
        """A copy of the whole database beside it, called `name`, readable by its owner only; it lasts until the next `scrub`."""
        path = self.path.with_suffix(f".{name}{_COPY}")
        path.unlink(missing_ok=True)
        touch_private(path)
        with (
            translated(self.path),
            closing(sqlite3.connect(path)) as target,
            closing(sqlite3.connect(self.path)) as source,
        ):
            source.backup(target)
        sync_folder(path)
        sync_folder(path.parent)
        return path

    def scrub(self) -> None:
        """Rewrite the file and empty its write-ahead log, so that deleted bytes are in neither; copies go.

        `secure_delete` zeroes a deleted cell, but a cell that moved while a page was split can leave a stale
        copy; only VACUUM removes those.

        Raises: ProjectLocked, while another process holds the database; NotReady, inside a transaction.
        """
        if self.in_transaction:
            raise NotReady("scrub was called inside a transaction; finish the transaction first")
        for copy in self.path.parent.glob(f"{self.path.stem}.*{_COPY}"):
            copy.unlink()
        with translated(self.path):
            # Past SQLAlchemy, which would open the transaction that VACUUM refuses to run in.
            raw = self.engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute("VACUUM")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = (cursor.fetchone() or (0,))[0]
            finally:
                raw.close()
        if busy:
            raise ProjectLocked(
                f"{self.path.name} is being read by another process, so its write-ahead log still holds "
                "deleted bytes; stop the other process and repeat the command"
            )


def touch_private(path: Path) -> None:
    """Create an empty file of mode 0600, if there is none; SQLite gives its journals the same mode."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's own complaints (locked, full, damaged) into errors that say what to do."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as e:
        if known := _explain(e.orig if isinstance(e, DatabaseError) else e, path):
            raise known from e
        raise


def _explain(error: BaseException | None, path: Path) -> ExpungeError | None:
    message = str(error)
    if "locked" in message:
        return ProjectLocked(
            f"{path.name} is locked by another process for more than {BUSY_S:.0f} s; try again when it ends"
        )
    if "is full" in message:
        return StorageFull(f"no space left to write {path.name}; nothing was changed, free some space and repeat")
    if "not a database" in message or "malformed" in message:
        return InvalidData(f"{path.name} is damaged or not a ledger ({message}); restore it from a backup")
    return None


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, not where the driver guesses
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("expunge_begin", "BEGIN"))
