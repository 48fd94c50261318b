"""What a kind of copy can be asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from expunge.core.digests import digest_files


class Standing(StrEnum):
    """What was found at a place. UNASKED is no answer: nobody may take it for GONE."""

    THERE = "there"
    GONE = "gone"
    OTHER = "holds something else"
    UNASKED = "cannot be asked"


@dataclass(frozen=True)
class Probe:
    """What was found, and in words how that is known."""

    standing: Standing
    words: str


class CopyKind(Protocol):
    """A kind of place. It may raise whatever its peer makes it raise; `probe_copy` and `purge_copy` turn that into a reason."""

    def check(self, uri: str) -> None:
        """Raises: InvalidParameter, if this is no address of the kind."""

    def probe(self, uri: str, digest: str) -> Probe:
        """Whether the version of this digest is there. Changes nothing."""

    def purge(self, uri: str, digest: str) -> None:
        """Delete it. Called only after `probe` said THERE.

        Raises: PeerRefused.
        """


def compared(sha256: Mapping[str, str], digest: str) -> Probe:
    """What files are, beside the version that was registered; no files are GONE.

    >>> compared({}, "sha256:00").standing.value
    'gone'
    """
    if not sha256:
        return Probe(Standing.GONE, "nothing is there")
    if digest_files(sha256) != digest:
        return Probe(Standing.OTHER, "its files are not those of the version that was registered")
    return Probe(Standing.THERE, f"{len(sha256)} files with the digest that was registered")
