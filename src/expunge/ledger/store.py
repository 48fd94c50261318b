"""An opened project directory: its database, its keys, and its folders of immutable files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from expunge.ledger.database import Database
from expunge.ledger.keys import Keyring
from expunge.ledger.sweep import sweep


@dataclass(frozen=True)
class Store:
    """Where the ledger's parts are; every operation takes one."""

    root: Path
    database: Database
    keys: Keyring

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def members(self) -> Path:
        return self.root / "members"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Several operations as one: all of them take effect, or none, also when the process is killed.

        Inside another transaction it joins that one. When the outermost ends, well or badly, files and keys
        that the database does not know are removed.
        """
        outermost = not self.database.in_transaction
        try:
            with self.database.write() as session:
                yield session
        finally:
            if outermost:
                self.sweep()

    def sweep(self) -> None:
        """Remove leftovers of a command that was stopped; see `expunge.ledger.sweep`."""
        sweep(self.database, self.keys, self.manifests, self.members)
