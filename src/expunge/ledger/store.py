"""An opened project directory: its database, its keys, and its folders of immutable files."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from expunge.core.durable import remove_durably
from expunge.ledger.database import Database
from expunge.ledger.generation import Stamp
from expunge.ledger.keys import Keyring
from expunge.ledger.sweep import lost_files, sweep


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

    def stamp(self) -> Stamp:
        """Who the project is, and how often its database was written to."""
        stamp = self.database.stamp()
        assert stamp  # an older schema was brought up when it was opened
        return stamp

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Several operations as one: all of them take effect, or none, also when the process is killed.

        Inside another transaction it joins that one. When the outermost fails, the files and keys that it made go; and
        when it ends, well or badly, what an erasure or a purge has superseded.
        """
        outermost = not self.database.in_transaction
        try:
            with self.database.write() as session, self._undone() if outermost else nullcontext():
                yield session
        finally:
            if outermost:
                self.sweep()

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """On an error, files and keys made meanwhile are removed; nobody else makes any, for the writers' lock is held."""
        before = self._files()
        self.keys.subjects.made.clear()
        try:
            yield
        except BaseException:
            for path in self._files() - before:
                remove_durably(path)
            if self.keys.subjects.made:
                self.keys.subjects.destroy(self.keys.subjects.made)
            raise

    def _files(self) -> set[Path]:
        return {path for folder in (self.manifests, self.members) for path in folder.iterdir()}

    def sweep(self) -> None:
        """Complete what a command that was stopped had begun; see `expunge.ledger.sweep`."""
        sweep(self.database, self.keys, self.manifests, self.members)

    def lost(self) -> tuple[list[str], int]:
        """Files that the ledger does not know, and how many keys of people."""
        return lost_files(self.root), self.keys.n_lost()
