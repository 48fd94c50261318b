"""The secret of a learner: where it comes from, and a name that tells one from another and nothing about either."""

import hashlib
import hmac
import warnings
from secrets import token_bytes
from typing import Any

import numpy as np

from expunge.core.errors import InvalidParameter


def secret_of(learner: Any, named: bool) -> bytes:
    """The salt given, or one from `random_state`: repeatable, and for that reason no secret."""
    if learner.salt is not None:
        return checked_salt(learner.salt)
    state = getattr(learner, "random_state", None)
    if state is None:
        return token_bytes(32)
    if named:
        warnings.warn("salt=None: placement and opaque names derive from random_state and are not secret", stacklevel=3)
    if isinstance(state, int | np.integer) and abs(int(state)) < 2**63:
        return b"expunge/no-salt/" + int(state).to_bytes(8, "big", signed=True)
    if isinstance(state, np.random.RandomState):
        return bytes(state.randint(0, 256, size=32, dtype=np.uint8))
    raise InvalidParameter(f"random_state must be a whole number of 64 bits, a RandomState or None; got {state!r}")


def checked_salt(salt: Any) -> bytes:
    if not isinstance(salt, bytes) or not salt:
        raise InvalidParameter(f"salt must be bytes, and not empty, got {type(salt).__name__}; write b'...'")
    return salt


def salt_name(salt: bytes) -> str:
    """Tells one salt from another without saying what it is."""
    return hmac.digest(salt, b"expunge/salt/v1", hashlib.sha256)[:8].hex()
