import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.ledger.conftest import holds

from expunge.core.errors import InvalidData, NotReady, ProjectLocked
from expunge.ledger import Ledger
from expunge.ledger.database import Database


def _count(database: Database) -> int:
    with database.read() as session:
        return int(session.scalar(text("SELECT count(*) FROM model")) or 0)


def _insert(database: Database, name: str) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO model (name, kind) VALUES (:n, 'k')"), {"n": name})


def test_the_pragmas_hold_on_every_connection(ledger: Ledger) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "recursive_triggers": 1,
    }
    for _ in range(2):
        with ledger.database.read() as session:
            assert {k: session.scalar(text(f"PRAGMA {k}")) for k in wanted} == wanted


def test_a_transaction_is_all_or_nothing(ledger: Ledger) -> None:
    def stopped() -> None:
        with ledger.database.write():
            _insert(ledger.database, "inner")
            assert _count(ledger.database) == 1  # seen inside
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert _count(ledger.database) == 0
    assert not ledger.database.in_transaction


def test_a_failed_inner_operation_leaves_nothing_in_the_outer_one(ledger: Ledger) -> None:
    def stopped() -> None:
        with ledger.database.write():
            _insert(ledger.database, "inner")
            raise ZeroDivisionError

    with ledger.database.write():
        _insert(ledger.database, "outer")
        with pytest.raises(ZeroDivisionError):
            stopped()
    assert _count(ledger.database) == 1


def test_deleted_bytes_are_gone_after_scrub_and_were_there_before(ledger: Ledger) -> None:
    names = [f"planted-needle-{n:05d}-{'x' * 40}" for n in range(2000)]
    # An open reader keeps the write-ahead log from being removed when a writer closes.
    reader = sqlite3.connect(ledger.database.path)
    reader.execute("SELECT count(*) FROM model").fetchone()
    with ledger.database.write() as session:
        session.execute(text("INSERT INTO model (name, kind) VALUES (:n, 'k')"), [{"n": n} for n in names])
    with ledger.database.write() as session:
        session.execute(text("DELETE FROM model WHERE id % 3 = 0"))
    gone = [n for i, n in enumerate(names, start=1) if i % 3 == 0]
    assert any(holds(ledger.root, n.encode()) for n in gone)  # the control: in the write-ahead log
    ledger.database.scrub()
    assert [n for n in gone if holds(ledger.root, n.encode())] == []
    assert holds(ledger.root, names[0].encode())
    reader.close()


def test_scrub_says_when_a_reader_keeps_the_log(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.ledger.sqlite_files.BUSY_S", 0.1)
    database = Database(ledger.database.path)
    _insert(database, "a")
    reader = sqlite3.connect(ledger.database.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM model").fetchone()
    with pytest.raises(ProjectLocked, match=r"repeat the command|try again"):
        database.scrub()
    reader.execute("COMMIT")
    database.scrub()
    reader.close()


def test_scrub_inside_a_transaction_is_refused(ledger: Ledger) -> None:
    with ledger.database.write(), pytest.raises(NotReady):
        ledger.database.scrub()


def test_a_second_writer_is_told_that_the_database_is_locked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expunge.ledger.sqlite_files.BUSY_S", 0.1)
    other = Database(ledger.database.path)
    with ledger.database.write(), pytest.raises(ProjectLocked, match="locked by another process"):
        _insert(other, "b")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database at all, but long enough to have a header" * 10)
    with pytest.raises(InvalidData, match=r"ledger\.db is damaged"):
        _count(Database(tmp_path / "ledger.db"))


def test_the_database_is_readable_by_its_owner_only(people: Ledger) -> None:
    assert people.database.path.stat().st_mode & 0o777 == 0o600
