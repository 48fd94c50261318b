"""Names of facts, people and probes where a document stays when they are gone: digests under a salt.

A plain digest of a short answer is found by guessing. Whoever holds the salt can name everything again, so it must not
outlive the people; without one given, a fresh one is drawn and thrown away, and the names point at nobody from the start.
"""

import secrets

from expunge.core.digests import digest_json

SALT_BYTES = 32


def salted(kind: str, salt: bytes, name: str) -> str:
    """A name of 16 hexadecimal digits.

    >>> salted("fact", b"salt", "1") == salted("fact", b"salt", "1"), salted("fact", b"other", "1") == salted("fact", b"salt", "1")
    (True, False)
    """
    return digest_json(kind, [salt.hex(), name])[7:23]


def fresh_salt() -> bytes:
    """A salt to use once and throw away."""
    return secrets.token_bytes(SALT_BYTES)
