"""The SQLite database: transactions that are all or nothing, and deletion that leaves no bytes behind."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import local
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, inspect, select, update
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from expunge.core.durable import remove_durably, sync_folder
from expunge.core.errors import ExpungeError, NotReady, ProjectLocked
from expunge.core.refusals import explaining
from expunge.ledger.generation import Stamp, Witness, fault, refused
from expunge.ledger.sqlite_files import connect, is_read_only, touch_private
from expunge.ledger.tables import ProjectRow

_COPY = ".copy.db"
_READING = (
    "PRAGMA foreign_keys = ON",
    # VACUUM and large sorts would otherwise leave copies of pages in the system's folder for temporary files.
    "PRAGMA temp_store = MEMORY",
)
_WRITING = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    # 128 MiB where they are needed: with the default of 2, rows of many people spill pages while they are added.
    "PRAGMA cache_size = -131072",
    # Without this, INSERT OR REPLACE would delete a row past the triggers that refuse deletion.
    "PRAGMA recursive_triggers = ON",
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
        self.engine = create_engine(url, poolclass=NullPool, creator=self._connect)
        self._writing = self.engine.execution_options(expunge_begin="BEGIN IMMEDIATE")
        event.listen(self.engine, "begin", _begin)

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path)
        try:
            for pragma in _READING if is_read_only(self.path) else (*_READING, *_WRITING):
                connection.execute(pragma)
        except BaseException:
            connection.close()  # or it would hold the file, and its disk, until it is collected
            raise
        return connection

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
            explaining(self.path),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # takes the writers' lock now, not at the first statement
            self._check_moment(session)
            self._local.session = session
            try:
                yield session
            finally:
                self._local.session = None
            stamp = self._counted(session)
        if stamp and self.witness:
            # It is committed: a count that could not be settled is recognised by the next command.
            with suppress(ExpungeError, OSError):
                self.witness.after(stamp)

    def _check_moment(self, session: Session) -> None:
        """A part may have been restored since it was opened."""
        if self.witness and (found := fault(self._stamp(session), self.witness.count())):
            raise refused(found)

    def _counted(self, session: Session) -> Stamp | None:
        """The count of writes, one more if anything was written; the witness knows it before the commit."""
        session.flush()
        raw: Any = session.connection().connection.driver_connection
        if self.witness is None or raw.total_changes == 0:
            return None
        session.execute(update(ProjectRow).values(generation=ProjectRow.generation + 1))
        stamp = self._stamp(session)
        self.witness.before(stamp)
        return stamp

    def _stamp(self, session: Session) -> Stamp:
        row = session.scalars(select(ProjectRow)).one()
        return Stamp(row.id, row.generation)

    def stamp(self) -> Stamp | None:
        """Who the project is, and how often it was written to; None in a database of an earlier release."""
        with self.read() as session:
            return self._stamp(session) if inspect(session.connection()).has_table(ProjectRow.__tablename__) else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view, shared by reads inside it; inside `write()` it sees what that one has done."""
        local = self._local
        outer: Session | None = getattr(local, "session", None) or getattr(local, "reading", None)
        if outer is not None:
            yield outer
            return
        with explaining(self.path), Session(self.engine) as session, session.begin():
            local.reading = session
            try:
                yield session
            finally:
                local.reading = None

    def copy(self, name: str) -> Path:
        """A copy of the whole database beside it, called `name`, readable by its owner only; it lasts until the next `scrub`."""
        path = self.path.with_suffix(f".{name}{_COPY}")
        remove_durably(path)
        touch_private(path)
        with (
            explaining(self.path),
            closing(connect(path)) as target,
            closing(connect(self.path)) as source,
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
            remove_durably(copy)
        with explaining(self.path):
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


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("expunge_begin", "BEGIN"))
