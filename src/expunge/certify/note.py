"""Signed notes with Ed25519: a text, a blank line, and lines that say who signed it.

Source: https://c2sp.org/signed-note. A verifier key is `<name>+<key id, hex>+<base64 of 0x01 and the public
key>`, the key id being the first four bytes of SHA-256(name, 0x0A, 0x01, public key). Of the text and of the
signature that is asked for one spelling is accepted, so none of their bytes can change unseen; what others
signed beside it is ignored, as the format demands.
"""

import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from expunge.certify.strict import read_base64, write_base64
from expunge.core.errors import InvalidCertificate, InvalidParameter

_ED25519 = b"\x01"
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Verifier:
    """A name and the public key that speaks for it."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{write_base64(_ED25519 + self.public)}"


def verifier(name: str, key: Ed25519PrivateKey) -> Verifier:
    """The public side of a key that signs under `name`.

    Raises: InvalidParameter, if the name is empty or holds white space or a plus sign.

    >>> verifier("expunge.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32))).vkey
    'expunge.example/log+100f2234+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
    """
    if not is_name(name):
        raise InvalidParameter(f"a log's name must have no white space and no plus sign, got {name!r}")
    return Verifier(name, key.public_key().public_bytes_raw())


def is_name(name: str) -> bool:
    """Whether a key may sign notes under this name.

    >>> is_name("expunge.example/log"), is_name("a log"), is_name("a+b")
    (True, False, False)
    """
    return bool(re.fullmatch(r"[^\s+]+", name)) and name.isprintable()


def read_vkey(vkey: str) -> Verifier:
    """Raises: InvalidCertificate, if this is no Ed25519 verifier key or its key id is not that of the key."""
    if not (match := _VKEY.fullmatch(vkey)) or not is_name(match[1]):
        raise InvalidCertificate(f"{vkey!r} is no verifier key; one reads <name>+<key id>+<base64>")
    data = read_base64(match[3], "the verifier key")
    if len(data) != 33 or data[:1] != _ED25519:
        raise InvalidCertificate(f"the verifier key of {match[1]} is not an Ed25519 key")
    found = Verifier(match[1], data[1:])
    if found.vkey != vkey:
        raise InvalidCertificate(f"the verifier key of {match[1]} has key id {match[2]}, needed {found.key_id.hex()}")
    return found


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """`text` as a note signed by `name`. Ed25519 is deterministic: the same text gives the same note."""
    if not text.endswith("\n") or text != _printable(text):
        raise InvalidParameter("a note's text must end with a newline and hold no control characters")
    signature = key.sign(text.encode("utf-8"))
    return f"{text}\n— {name} {write_base64(verifier(name, key).key_id + signature)}\n"


def open_note(data: bytes, by: Verifier) -> str:
    """The text of a note that `by` signed. Signatures by other keys, such as those of witnesses, are ignored.

    Raises: InvalidCertificate, if the note is malformed, not signed by `by`, or the signature does not hold.
    """
    text, lines = split_note(data)
    signed = [_signature(line) for line in lines]
    mine = [signature for name, key_id, signature in signed if (name, key_id) == (by.name, by.key_id)]
    if len(mine) != 1:
        names = ", ".join(f"{name} (key {key_id.hex()})" for name, key_id, _ in signed)
        raise InvalidCertificate(
            f"the note is signed by {names}; it carries {len(mine)} signatures by {by.vkey}, needed one"
        )
    try:
        Ed25519PublicKey.from_public_bytes(by.public).verify(mine[0], text.encode("utf-8"))
    except (InvalidSignature, ValueError) as e:
        raise InvalidCertificate(f"the note's signature by {by.name} does not hold; it was altered") from e
    return text


def _signature(line: str) -> tuple[str, bytes, bytes]:
    """The name, the key id and the signature in a line."""
    if not (match := _SIGNATURE_LINE.fullmatch(line)):
        raise InvalidCertificate(f"the note has a malformed signature line: {line!r}")
    signed = read_base64(match[2], "the note's signature")
    return match[1], signed[:4], signed[4:]


def split_note(data: bytes) -> tuple[str, list[str]]:
    """The text and the signature lines of a note, none of them checked."""
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise InvalidCertificate(f"the note is not UTF-8: {e}") from e
    text, blank, block = note.rpartition("\n\n")
    if not blank or not block.endswith("\n") or note != _printable(note):
        raise InvalidCertificate("not a signed note: needs a text, a blank line and signature lines")
    return text + "\n", block[:-1].split("\n")


def _printable(text: str) -> str:
    return "".join(c for c in text if c == "\n" or ord(c) >= 0x20)
