"""Which moment the parts of a project are of: the database counts its writes, and two witnesses hold the count too.

A part that was restored from a backup is of an earlier moment than the others, and to go on with it would sign a second story
or lose what the others know. The count in `keys/generation.json` is raised before a write is committed and settled after it,
so that whatever stops a command leaves a pair that is recognised. `expunge.toml` holds a count that the database has at least,
and the keys know what they saw there last: so that neither both of them nor that file alone can go back unseen. A whole
project of an earlier moment is consistent, and only what lies outside it can tell.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData

FILE = "generation.json"


@dataclass(frozen=True)
class Stamp:
    """A project by id, and how often its database was written to."""

    id: str
    generation: int


@dataclass(frozen=True)
class Count:
    """What the keys know: the last write that ended, the last that began, and the count that `expunge.toml` shows."""

    project: str
    settled: int
    begun: int
    shown: int = -1


class Witness:
    """The count beside the keys."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def before(self, stamp: Stamp) -> None:
        """A write is about to be committed that makes this the count."""
        with self._alone():
            found = self.count()
            shown = found.shown if found and found.project == stamp.id else -1
            self._write(Count(stamp.id, stamp.generation - 1, stamp.generation, shown))

    def after(self, stamp: Stamp) -> None:
        """It was committed; unless another process has begun the next write meanwhile, which knows that."""
        with self._alone():
            if (found := self.count()) and found.begun == stamp.generation:
                self._write(replace(found, settled=stamp.generation))

    def shown(self, stamp: Stamp) -> None:
        """`expunge.toml` shows this count now."""
        with self._alone():
            found = self.count() or Count(stamp.id, stamp.generation, stamp.generation)
            self._write(replace(found, shown=stamp.generation))

    def count(self) -> Count | None:
        """None where nothing was counted yet. Raises: InvalidData, where the file is damaged."""
        try:
            found = json.loads(self.path.read_text())
            return Count(str(found["project"]), int(found["settled"]), int(found["begun"]), int(found.get("shown", -1)))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as e:
            raise InvalidData(
                f"{self.path} is damaged ({e!r}); restore keys/ and ledger.db from backups of one moment"
            ) from e

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, count: Count) -> None:
        write_durably(self.path, json.dumps(asdict(count)).encode(), mode=0o600)


def fault(stamp: Stamp | None, count: Count | None) -> str:
    """Why database and keys are not of one moment; empty if they are. None: an earlier release made it, and counted nothing.

    >>> fault(Stamp("p", 4), Count("p", 3, 4)), fault(None, None)
    ('', '')
    >>> fault(Stamp("p", 2), Count("p", 3, 4))
    'ledger.db is older than keys/ (it was written to 2 times, they know of 3)'
    """
    if stamp is None:
        return (
            f"ledger.db is older than keys/ (it counts nothing, they know of {count.settled} writes)" if count else ""
        )
    if count and count.project != stamp.id:
        return "ledger.db and keys/ are of different projects"
    if count and stamp.generation < count.settled:
        return (
            f"ledger.db is older than keys/ (it was written to {stamp.generation} times, they know of {count.settled})"
        )
    if stamp.generation > (count.begun if count else 0):
        known = f"know of {count.begun} writes" if count else f"hold no {FILE}"
        return f"keys/ are older than ledger.db (they {known}, it was written to {stamp.generation} times)"
    return ""


def shown_fault(stamp: Stamp | None, count: Count | None, shown: Stamp | None) -> str:
    """Why `expunge.toml` is not of the moment of database and keys; empty if it is. It may lag behind what the keys saw in it.

    >>> shown_fault(Stamp("p", 4), Count("p", 4, 4, shown=3), Stamp("p", 3))
    ''
    >>> shown_fault(Stamp("p", 4), Count("p", 4, 4, shown=3), Stamp("p", 9))
    'ledger.db and keys/ are older than expunge.toml (it shows 9 writes, they know of 4)'
    """
    if shown and stamp and shown.id != stamp.id:
        return "expunge.toml is of another project than ledger.db and keys/"
    if shown and (stamp is None or shown.generation > stamp.generation):
        known = stamp.generation if stamp else 0
        return f"ledger.db and keys/ are older than expunge.toml (it shows {shown.generation} writes, they know of {known})"
    if count and count.shown > (shown.generation if shown else -1):
        return f"expunge.toml is older than keys/ (they saw {count.shown} writes in it)"
    return ""


def check_moment(
    witness: Witness, stamp: Callable[[], Stamp | None], shown: Callable[[], Stamp | None] | None = None
) -> None:
    """Raises: InvalidData, saying which part is older, if database, keys and, where it is asked, `expunge.toml` are not of one
    moment."""
    while True:
        count = witness.count()
        in_config = shown() if shown else None
        of_database = stamp()  # last: it is never behind what `expunge.toml` shows
        found = fault(of_database, count) or (shown_fault(of_database, count, in_config) if shown else "")
        if not found:
            return
        if witness.count() == count:  # nobody wrote meanwhile
            raise refused(found)


def refused(found: str) -> InvalidData:
    """The error for a fault."""
    return InvalidData(
        f"{found}; nothing was changed. Restore ledger.db, keys/, expunge.toml, manifests/ and members/ from backups of one "
        "moment, or, where there is none, go on from here with `expunge reconcile --restored`, which destroys nothing"
    )
