"""Seeds that are derived, never drawn: from a secret and the place where they are used."""

import hashlib
import hmac


def derived_seed(secret: bytes, *context: str | int) -> int:
    """A 63-bit seed from a secret and the place where it is used, so that no two places share a stream.

    >>> derived_seed(b"secret", "tree", 0) == derived_seed(b"secret", "tree", 1)
    False
    """
    text = "\x1f".join(str(c) for c in context).encode()
    return int.from_bytes(hmac.digest(secret, b"seed\x1e" + text, hashlib.sha256)[:8], "big") >> 1
