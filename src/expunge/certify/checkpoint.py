"""A log's signed promise: at this size, this is the root. Source: https://c2sp.org/tlog-checkpoint."""

from dataclasses import dataclass

from expunge.certify.keys import LogKey
from expunge.certify.note import Verifier, open_note, sign_note
from expunge.certify.strict import read_base64, write_base64
from expunge.core.errors import InvalidCertificate


@dataclass(frozen=True)
class Checkpoint:
    """Which log, how many entries, and the root hash over them.

    >>> print(Checkpoint("expunge.example/log", 0, bytes(32)).text, end="")
    expunge.example/log
    0
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    """

    origin: str
    size: int
    root: bytes
    extension: tuple[str, ...] = ()  # lines that others may give a meaning to; signed like the rest

    @property
    def text(self) -> str:
        lines = [self.origin, str(self.size), write_base64(self.root), *self.extension]
        return "".join(f"{line}\n" for line in lines)

    def sign(self, key: LogKey) -> str:
        return sign_note(self.text, self.origin, key)


def read_checkpoint(text: str) -> Checkpoint:
    """Parse a checkpoint's text, the unsigned part; further lines are kept and mean nothing here.

    Raises: InvalidCertificate, if the first three lines are anything but those in their one spelling.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise InvalidCertificate("a checkpoint must begin with three lines: the log's name, its size, its root")
    # A size of 19 digits is beyond any log; longer ones would only cost time to parse.
    if not (lines[1].isascii() and lines[1].isdecimal() and len(lines[1]) < 19):
        raise InvalidCertificate(f"a checkpoint's size must be a number, got {lines[1][:40]!r}")
    found = Checkpoint(lines[0], int(lines[1]), read_base64(lines[2], "the checkpoint's root"), tuple(lines[3:-1]))
    if found.text != text or len(found.root) != 32:
        raise InvalidCertificate("the checkpoint is not in canonical form")
    return found


def open_checkpoint(data: bytes, by: Verifier) -> Checkpoint:
    """The checkpoint in a note signed by the log `by`.

    Raises: InvalidCertificate, if signature or form do not hold, or it is another log's.
    """
    found = read_checkpoint(open_note(data, by))
    if found.origin != by.name:
        raise InvalidCertificate(f"the checkpoint is of the log {found.origin!r}, needed {by.name!r}")
    return found
