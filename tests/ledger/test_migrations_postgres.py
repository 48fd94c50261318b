"""The schema on PostgreSQL, in schemas of this process's own, dropped at the end."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, make_url, text

from expunge.ledger import migrations
from expunge.ledger.tables import Base


@pytest.fixture
def schemas() -> Iterator[tuple[Engine, Engine]]:
    """Two empty schemas."""
    server = os.environ.get("EXPUNGE_TEST_POSTGRES")
    if not server:
        pytest.skip("not run: EXPUNGE_TEST_POSTGRES names no PostgreSQL server")
    url = make_url(server).set(drivername="postgresql+psycopg")
    names = [f"expunge_test_{uuid4().hex}" for _ in range(2)]
    admin = create_engine(url)
    engines = [create_engine(url, connect_args={"options": f"-csearch_path={name}"}) for name in names]
    with admin.begin() as connection:
        for name in names:
            connection.execute(text(f"CREATE SCHEMA {name}"))
    yield engines[0], engines[1]
    for engine in engines:
        engine.dispose()
    with admin.begin() as connection:
        for name in names:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    admin.dispose()


def checks(engine: Engine) -> set[tuple[str, str | None, str]]:
    found = inspect(engine)
    return {(t, c["name"], c["sqltext"]) for t in found.get_table_names() for c in found.get_check_constraints(t)}


def test_the_migrations_make_what_the_tables_say_from_nothing(schemas: tuple[Engine, Engine]) -> None:
    migrated, made = schemas
    with migrated.begin() as connection:
        migrations.run(connection)
    Base.metadata.create_all(made)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    assert checks(migrated) == checks(made) != set()


def test_the_comparison_sees_what_differs(schemas: tuple[Engine, Engine]) -> None:
    migrated, _ = schemas
    with migrated.begin() as connection:
        migrations.run(connection)
        before = checks(migrated)
        connection.execute(text("ALTER TABLE request DROP COLUMN due_at"))
        connection.execute(text("ALTER TABLE step DROP CONSTRAINT ck_step_state"))
        context = MigrationContext.configure(connection)
        assert [change[0] for change in compare_metadata(context, Base.metadata)] == ["add_column"]
    assert before == set()  # another connection saw nothing before the commit: the migrations are one transaction
    assert ("step", "ck_step_state") not in {(t, c) for t, c, _ in checks(migrated)}
    assert checks(migrated)
