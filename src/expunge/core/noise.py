"""Seeds of noise that a certificate rests on: whoever could guess one could take the noise off.

A generator is only as secret as what starts it. torch's CPU generator reads 32 bits of a seed, which one core tries through
in hours; here a generator is started with 252 bits, of which numpy's `SeedSequence` keeps 128.
"""

import secrets

from expunge.core.seeds import derived_seed

SECRET_BYTES = 32
_WORDS = 4  # of 63 bits each


def new_secret() -> bytes:
    """256 bits of the operating system's, for noise that nobody may repeat."""
    return secrets.token_bytes(SECRET_BYTES)


def noise_words(secret: bytes, *context: str | int) -> list[int]:
    """What to start a generator with: `numpy.random.default_rng(noise_words(secret, use))`.

    Every bit of the secret decides all of them. Guaranteed is no more than the secret gives: words of a public seed are
    repeatable, and hide nothing from those who know it. Neither numpy's generator nor floating point is cryptographic.

    >>> noise_words(b"secret", "noise") == noise_words(b"secret", "noise")
    True
    >>> len(noise_words(b"secret", "noise")), max(noise_words(b"secret", "noise")).bit_length() <= 63
    (4, True)
    """
    return [derived_seed(secret, *context, word) for word in range(_WORDS)]
