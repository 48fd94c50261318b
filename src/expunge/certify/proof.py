"""A proof that an entry is in a log, in one small text file. Source: https://c2sp.org/tlog-proof (v1)."""

from dataclasses import dataclass

from expunge.certify.checkpoint import Checkpoint, open_checkpoint
from expunge.certify.note import Verifier
from expunge.certify.strict import read_base64, write_base64
from expunge.certify.tree import leaf_hash, verify_inclusion
from expunge.core.errors import InvalidCertificate

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Proof:
    """Where the entry stands, the hashes from it to the root, and the signed checkpoint with that root.

    `extra` is whatever another tool wrote beside it: nobody signed it, and nothing is concluded from it.

    >>> print(Proof(7, (), "…").text)
    c2sp.org/tlog-proof@v1
    index 7
    <BLANKLINE>
    …
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    @property
    def text(self) -> str:
        extra = [] if self.extra is None else [f"extra {write_base64(self.extra)}"]
        lines = [_HEADER, *extra, f"index {self.index}", *map(write_base64, self.hashes), "", self.checkpoint]
        return "\n".join(lines)


def read_proof(data: bytes) -> Proof:
    """Parse a proof file; only the one spelling that `Proof.text` writes is accepted.

    Raises: InvalidCertificate, if it is anything else.
    """
    try:
        head, blank, checkpoint = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as e:
        raise InvalidCertificate(f"the proof is not UTF-8: {e}") from e
    lines = head.split("\n")
    if not blank or lines.pop(0) != _HEADER or not lines:
        raise InvalidCertificate(f"the proof does not begin with {_HEADER!r} and an index")
    extra = None
    if lines[0].startswith("extra "):
        extra = read_base64(lines.pop(0).removeprefix("extra "), "the proof's extra data")
    word, _, number = lines[0].partition(" ") if lines else ("", "", "")
    if word != "index" or not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise InvalidCertificate(f"a line of the proof must be 'index <number>', got {''.join(lines[:1])[:40]!r}")
    hashes = tuple(read_base64(line, "a hash of the proof") for line in lines[1:])
    found = Proof(int(number), hashes, checkpoint, extra)
    if found.text.encode("utf-8") != data or any(len(h) != 32 for h in hashes):
        raise InvalidCertificate("the proof is not in canonical form")
    return found


def verify_proof(data: bytes, entry: bytes, by: Verifier) -> tuple[int, Checkpoint]:
    """Check that `entry` is in the log `by`; return its index and the checkpoint that covers it.

    Raises: InvalidCertificate, if the proof is malformed, signed by another key, or is of another entry.
    """
    proof = read_proof(data)
    checkpoint = open_checkpoint(proof.checkpoint.encode("utf-8"), by)
    if not verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root):
        raise InvalidCertificate("the proof does not lead from this entry to the log's root; it is of another entry")
    return proof.index, checkpoint
