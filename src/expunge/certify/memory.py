"""Where the signer of a log remembers, outside the log's folder, what it signed last.

A folder can be lost, or restored from yesterday; then it no longer says what was signed, and going on from it would tell a
second story under the same key. Whoever signs therefore keeps the newest checkpoint in another place as well.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from expunge.certify.checkpoint import Checkpoint


class Memory(Protocol):
    """The newest checkpoint that was signed, or is about to be."""

    def newest(self) -> Checkpoint | None:
        """None: nothing was signed yet."""

    def keep(self, checkpoint: Checkpoint, entry: Mapping[str, Any]) -> None:
        """Remember that `checkpoint`, which adds `entry`, is signed from now on; on disk when this returns."""


class NoMemory:
    """Of a log that somebody else remembers, or nobody: what its folder says is believed."""

    def newest(self) -> Checkpoint | None:
        return None

    def keep(self, checkpoint: Checkpoint, entry: Mapping[str, Any]) -> None:
        """Nothing is kept."""
