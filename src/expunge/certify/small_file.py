"""Read a file that should be small: whoever hands out a certificate must not be able to fill the reader's memory."""

from pathlib import Path

from expunge.core.errors import InvalidCertificate

LIMIT = 16 * 1024 * 1024


def read_small(path: Path, limit: int = LIMIT) -> bytes:
    """The bytes of a file.

    Raises: InvalidCertificate, if it is longer than `limit`; OSError.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidCertificate(f"{path} is longer than {limit} bytes; no certificate, proof, key or tile is")
    return data
