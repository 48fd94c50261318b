"""Secrets in files that only their owner can read."""

import secrets
from contextlib import suppress
from pathlib import Path

from expunge.core.durable import link_durably, place_beside
from expunge.core.errors import InvalidData, UnsafeKeyFile

KEY_BYTES = 32


def private_folder(folder: Path) -> Path:
    """Create a folder of mode 0700, or check the one that is there.

    Raises: UnsafeKeyFile, if group or others have any permission on it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)
    return folder


def check_private(path: Path) -> None:
    """Refuse a secret file or folder on which group or others have any permission."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise UnsafeKeyFile(f"{path} has mode {mode:04o}, so others can get at its secrets; run: chmod {wanted} {path}")


def create_secret(path: Path) -> None:
    """Write 32 random bytes, unless the file exists; whole or not at all, also with two at once."""
    if path.exists():
        return
    with place_beside(path, 0o600) as beside:
        beside.write_bytes(secrets.token_bytes(KEY_BYTES))
        with suppress(FileExistsError):  # a key that somebody else just made is never replaced
            link_durably(beside, path)


def read_secret(path: Path) -> bytes:
    """The 32 bytes of a secret file.

    Raises: UnsafeKeyFile; InvalidData, if the file is missing or has another length.
    """
    if not path.is_file():
        raise InvalidData(f"no secret at {path}; restore it from the backup of the keys, nothing else can replace it")
    check_private(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise InvalidData(
            f"{path} holds {len(key)} bytes, a key has {KEY_BYTES}; restore it from the backup of the keys"
        )
    return key
