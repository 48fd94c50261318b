"""The ledger's schema, one file per revision in `versions/`. No alembic.ini: `upgrade` runs from here."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from expunge.core.errors import InvalidData, SystemRefused
from expunge.core.refusals import explaining
from expunge.ledger.database import Database
from expunge.ledger.sqlite_files import is_read_only

HEAD = "0017"


def upgrade(database: Database) -> None:
    """Bring a database to this version's schema, in one transaction; one at HEAD is left as it is.

    Before an older one is changed, a copy of it is made beside it, which the next erasure removes.

    Raises: InvalidData, if a newer Expunge wrote it.
    """
    if (found := revision(database)) == HEAD:
        return

    # Alembic takes a noticeable part of a second to import; an up-to-date ledger opens without it.
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(__file__).parent))
    known = [revision.revision for revision in script.walk_revisions()]
    if found is not None and found not in known:
        raise InvalidData(
            f"this ledger has schema revision '{found}', and this Expunge knows revisions up to '{HEAD}'; "
            "a newer Expunge wrote it, install that version or a later one"
        )

    if found is not None:
        if is_read_only(database.path):
            raise SystemRefused(
                f"an earlier Expunge wrote this ledger (schema {found}), and it cannot be brought to {HEAD} where it lies; open a "
                "copy that can be written"
            )
        database.copy(f"before-{HEAD}")

    with database.engine.execution_options(expunge_begin="BEGIN IMMEDIATE").begin() as connection:
        run(connection)


def run(connection: Connection) -> None:
    """Run the revisions that a database lacks, up to HEAD, in the transaction of this connection."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(__file__).parent))

    def revisions(current: Any, _context: Any) -> Any:
        return script._upgrade_revs(HEAD, current)

    with EnvironmentContext(Config(), script, fn=revisions, destination_rev=HEAD) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()


def revision(database: Database) -> str | None:
    """The schema that a database has; None where it has none.

    Raises: InvalidData, where it is damaged.
    """
    with explaining(database.path), database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)
