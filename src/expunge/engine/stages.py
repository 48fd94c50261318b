"""Finished stages of training in a folder, so that an interrupted run goes on where it was.

A stage lies under a key of all that decides its bits: the recipe with its canary, and the records, by names that mean
nothing without the secret. So a stage of other settings, records, libraries or modes is never served. It carries the
digest of its content (`core.digested`), so neither is one that was damaged since, though it may still load.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from expunge.core.digested import find_digested, written_digested
from expunge.core.digests import digest_json
from expunge.core.errors import UnreadableModel
from expunge.core.recipe import Recipe
from expunge.core.refusals import explaining

T = TypeVar("T")
_FINISHED, _BEGUN = ".stage", ".part"


def stage_key(recipe: Recipe, secret: bytes, content: Any) -> str:
    """The key of a stage: what it is trained by and on, as JSON values.

    >>> one, other = Recipe(environment={"torch": "1"}), Recipe(environment={"torch": "2"})
    >>> stage_key(one, b"secret", ["a"]) == stage_key(other, b"secret", ["a"])
    False
    """
    named = digest_json("stage", [recipe.digest(), content]).encode()
    return hmac.new(secret, b"expunge/stage/v2\0" + named, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Stages:
    """A folder of stages; without a folder everything is trained and nothing is kept."""

    folder: Path | None = None
    writes: bool = True  # False where another process of the same run does

    def run(
        self,
        key: str,
        train: Callable[[Path | None], T],
        read: Callable[[Path], T],
        write: Callable[[T, Path], Any],
    ) -> T:
        """The stage of this key: read where it is finished, else trained and written whole.

        `train` is given a place for checkpoints of its own. What is damaged, or cannot be read (`UnreadableModel`), is
        trained. Two processes may run the same stages in one folder: each trains or reads, and none a half of the other's.

        Raises: StorageFull, with no half-written stage left.
        """
        if self.folder is None:
            return train(None)
        finished = self.folder / f"{key}{_FINISHED}"
        with suppress(UnreadableModel, FileNotFoundError):  # as if it were not there; another process has replaced it
            if found := find_digested(finished):
                return read(found)
        with explaining(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        stage = train(self.folder / f"{key}{_BEGUN}")
        if self.writes:
            with written_digested(finished) as beside:
                write(stage, beside)
        return stage

    def discard(self, keys: Iterable[str]) -> list[str]:
        """Remove all that is there of these stages, finished, begun or half-written; the names of the files removed."""
        gone = []
        if self.folder is not None:
            for key in sorted(keys):
                for path in sorted(self.folder.glob(f"*{key}*")):
                    path.unlink(missing_ok=True)
                    gone.append(path.name)
        return gone
