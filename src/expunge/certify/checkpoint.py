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

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{write_base64(self.root)}\n"

    def sign(self, key: LogKey) -> str:
        return sign_note(self.text, self.origin, key)


def read_checkpoint(text: str) -> Checkpoint:
    """Parse a checkpoint's text, the unsigned part.

    Raises: InvalidCertificate, if it is anything but the three lines in their one spelling.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise InvalidCertificate("a checkpoint must have three lines: the log's name, its size, its root")
    # A size of 19 digits is beyond any log; longer ones would only cost time to parse.
    if not (lines[1].isascii() and lines[1].isdecimal() and len(lines[1]) < 19):
        raise InvalidCertificate(f"a checkpoint's size must be a number, got {lines[1][:40]!r}")
    found = Checkpoint(lines[0], int(lines[1]), read_base64(lines[2], "the checkpoint's root"))
    if found.text != text or len(found.root) != 32:
        raise InvalidCertificate("the checkpoint is not in canonical form")
    return found


def open_checkpoint(data: bytes, by: Verifier, *, others: bool = False) -> Checkpoint:
    """The checkpoint in a note signed by the log `by`.

    Raises: InvalidCertificate, if signature or form do not hold, or it is another log's.
    """
    found = read_checkpoint(open_note(data, by, others=others))
    if found.origin != by.name:
        raise InvalidCertificate(f"the checkpoint is of the log {found.origin!r}, needed {by.name!r}")
    return found
