"""Which moment the parts of a project are of: the database counts its writes, and the keys' folder holds the count too.

A part that was restored from a backup is of an earlier moment than the others, and to go on with it would sign a second story
or lose what the others know. The count in `keys/generation.json` is raised before a write is committed and settled after it,
so that whatever stops a command leaves a pair that is recognised.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData

FILE = "generation.json"
_LOOKS, _WAIT_S = 5, 0.05  # a reader may look while a writer is between its two writes


@dataclass(frozen=True)
class Stamp:
    """A project by id, and how often its database was written to."""

    id: str
    generation: int


class Witness:
    """The count beside the keys."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def before(self, stamp: Stamp) -> None:
        """A write is about to be committed that makes this the count."""
        with self._alone():
            self._write(stamp.id, stamp.generation - 1, stamp.generation)

    def after(self, stamp: Stamp) -> None:
        """It was committed; unless another process has begun the next write meanwhile, which knows that."""
        with self._alone():
            if json.loads(self.path.read_text())["begun"] == stamp.generation:
                self._write(stamp.id, stamp.generation, stamp.generation)

    def fault(self, stamp: Stamp) -> str:
        """Why this is not the database that belongs to the keys; empty if it is."""
        if not self.path.exists():
            return "" if stamp.generation == 0 else f"{self.path} is missing"
        try:
            found = json.loads(self.path.read_text())
            low, high, owner = int(found["settled"]), int(found["begun"]), str(found["project"])
        except (ValueError, KeyError, TypeError) as e:
            return f"{self.path} is damaged ({e})"
        if owner != stamp.id:
            return "ledger.db and keys/ are of different projects"
        if stamp.generation < low:
            return f"ledger.db is older than keys/ (it was written to {stamp.generation} times, they know of {low})"
        if stamp.generation > high:
            return f"keys/ are older than ledger.db (they know of {high} writes, it was written to {stamp.generation} times)"
        return ""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, owner: str, settled: int, begun: int) -> None:
        text = json.dumps({"project": owner, "settled": settled, "begun": begun})
        write_durably(self.path, text.encode(), mode=0o600)


def check_moment(witness: Witness, read: Callable[[], Stamp]) -> None:
    """Raises: InvalidData, saying which part is older, if database and keys are not of one moment."""
    for look in range(_LOOKS):
        if not (fault := witness.fault(read())):
            return
        if look + 1 < _LOOKS:
            time.sleep(_WAIT_S)
    raise InvalidData(
        f"{fault}; nothing was changed. Restore ledger.db, keys/, manifests/ and members/ from backups of one moment, or, where "
        "there is none, go on from here with `expunge reconcile --restored`, which destroys nothing"
    )
