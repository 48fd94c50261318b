"""Who asks to be forgotten: read from a file or standard input, never from arguments."""

import sys
from pathlib import Path

from expunge.core.errors import EmptyForgetSet, InvalidData


def read_identities(source: str) -> list[str]:
    """One identity a line; '-' is standard input.

    Raises: InvalidData; EmptyForgetSet.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read identities from {source}: {e}") from e
    if not (identities := [line.strip() for line in text.splitlines() if line.strip()]):
        raise EmptyForgetSet("no identities were given; write one a line")
    return identities
