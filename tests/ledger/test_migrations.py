import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import InvalidData
from expunge.ledger import Columns, Ledger, migrations
from expunge.ledger.database import Database, touch_private
from expunge.ledger.tables import Base


def back_to_the_first(ledger: Ledger) -> None:
    """The same rows in a database as the first release made it."""
    old = Database(ledger.root / "old.db")
    touch_private(old.path)
    with patch.object(migrations, "HEAD", "0001"):
        migrations.upgrade(old)
    with closing(sqlite3.connect(old.path)) as database:
        database.execute("ATTACH ? AS new", (str(ledger.database.path),))
        for (table,) in database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(name for _, name, *_ in database.execute(f"PRAGMA main.table_info({table})"))
            if table != "alembic_version":
                database.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        database.commit()
    for path in [*ledger.root.glob("ledger.db*"), ledger.root / "keys" / "generation.json"]:
        path.unlink(missing_ok=True)
    old.path.rename(ledger.database.path)
    ledger.database.witness = None  # it counts in a table that is not there any more


def test_the_migrations_make_what_the_tables_say(ledger: Ledger) -> None:
    with ledger.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_check_constraints_are_the_same_too(ledger: Ledger) -> None:
    """Alembic does not compare them."""
    made = create_engine("sqlite://")
    Base.metadata.create_all(made)

    def checks(engine: object) -> set[str]:
        with engine.connect() as connection:  # type: ignore[attr-defined]
            sql = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'table'")).scalars()
            return {line.strip(" ,\n\t") for s in sql for line in s.split("\n") if "CHECK" in line}

    assert checks(ledger.database.engine) == checks(made) != set()


def test_head_is_the_newest_revision() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_heads() == [migrations.HEAD]


def test_a_newer_database_is_refused_and_left_alone(ledger: Ledger) -> None:
    with ledger.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InvalidData, match=rf"revision '9999'.*up to '{migrations.HEAD}'.*newer Expunge"):
        Ledger.open(ledger.root)
    with ledger.database.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_no_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("stopped")

    monkeypatch.setattr(op, "create_index", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        Ledger.create(tmp_path)
    assert not (tmp_path / "ledger.db").exists()
    monkeypatch.undo()
    assert Ledger.create(tmp_path).datasets() == ()


def test_a_database_of_the_first_revision_keeps_its_data(ledger: Ledger, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("who,answer\nann,yes\n")
    ledger.add_dataset("people", source, Columns(subject="who", answer="answer"))
    back_to_the_first(ledger)
    again = Ledger.open(ledger.root)
    assert again.datasets()[0].columns == Columns(subject="who", answer="answer")
    assert len(again.live_records("people")) == 1


def test_before_a_migration_a_copy_is_made_and_the_next_scrub_removes_it(ledger: Ledger) -> None:
    back_to_the_first(ledger)
    again = Ledger.open(ledger.root)
    (copy,) = ledger.root.glob("ledger.before-*")
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    again.database.scrub()
    assert not list(ledger.root.glob("ledger.before-*"))


def test_a_log_that_had_forked_migrates_with_the_later_story_apart(people: Ledger) -> None:
    for person in PEOPLE[:2]:
        request = people.open_request("people", [person]).id
        people.record_certificate(request, digest=f"sha256:{person}", path="c", log_index=None)
    back_to_the_first(people)
    with people.database.write() as session:
        session.execute(text("UPDATE certificate SET log_index = 0"))
    with Ledger.open(people.root).database.read() as session:
        found = session.execute(text("SELECT log_id, log_index FROM certificate ORDER BY id")).all()
    assert [tuple(row) for row in found] == [(1, 0), (-2, 0)]
