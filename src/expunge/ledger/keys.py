"""The folder of secrets: index key, project secrets, subjects' keys. Keep it out of ordinary backups."""

import hmac
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.identity import canonical_identity
from expunge.ledger.secret_files import check_private, create_secret, private_folder, read_secret
from expunge.ledger.subject_keys import SubjectKeys

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Keyring:
    """An existing `keys/` folder; `Keyring.make` creates one.

    Raises: InvalidData, without that folder; UnsafeKeyFile, where others can reach it or a file in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise InvalidData(f"no keys in {folder}; restore that folder from the backup of the keys")
        check_private(folder)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # a journal may end while we look
                check_private(path)
        self.subjects = SubjectKeys(folder / "subjects.db")
        self._lost = SubjectKeys(folder / "lost.db")

    @classmethod
    def make(cls, folder: Path) -> "Keyring":
        """Create the folder and its index key; what exists is kept.

        The index key is made here alone: a new one in place of a lost one would make every subject unknown,
        silently.
        """
        create_secret(private_folder(folder) / "index.key")
        return cls(folder)

    def handle(self, identity: str) -> bytes:
        """What finds a subject by identity: HMAC-SHA256 under the index key. It is still personal data."""
        message = b"expunge/subject/v1\0" + canonical_identity(identity).encode()
        return hmac.digest(self._index_key, message, "sha256")

    def secret(self, name: str) -> bytes:
        """A named secret of 32 bytes, for example the salt of placement; made when first asked for."""
        if not _NAME.fullmatch(name) or name == "index":
            raise InvalidParameter(
                f"'{name}' cannot name a secret; use small letters, digits, '-' and '_', and not 'index'"
            )
        path = private_folder(self.folder) / f"{name}.key"
        create_secret(path)
        return read_secret(path)

    def create(self, ref: str) -> bytes:
        """A new key for one subject."""
        return self.subjects.create([ref])[ref]

    def get(self, ref: str) -> bytes:
        """A subject's key. Raises UnknownSubject, if it was destroyed or never made."""
        return self.subjects.get(ref)

    def destroy(self, refs: Iterable[str]) -> None:
        """Destroy subjects' keys, lost ones too; their bytes are then nowhere in the folder."""
        refs = set(refs)
        self.subjects.destroy(refs)
        if self._lost.path.exists():
            self._lost.destroy(refs)

    def lost(self) -> dict[str, bytes]:
        """Keys of people whom the ledger does not know, by reference."""
        return self._lost.all() if self._lost.path.exists() else {}

    def n_lost(self) -> int:
        """How many keys the ledger does not know."""
        return self._lost.count()

    def lose(self, refs: Iterable[str]) -> None:
        """Set keys aside that the ledger does not know; a newer ledger may, and no erasure names them."""
        held = self.subjects.all()
        self._lost.put({ref: held[ref] for ref in refs})
        self.subjects.destroy(refs)

    def recover(self, refs: Iterable[str]) -> None:
        """Take back what was set aside of these."""
        wanted = set(refs)
        if back := {ref: key for ref, key in self.lost().items() if ref in wanted}:
            self.subjects.put(back)
            self._lost.destroy(back)

    @cached_property
    def _index_key(self) -> bytes:
        return read_secret(self.folder / "index.key")
