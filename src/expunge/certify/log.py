"""An append-only log in a folder, in the layout of `tiles`: what was certified, in which order, for ever.

A log is worth as much as the promise that it never tells two stories. So a checkpoint is signed only over a
tree that was proven to begin with the tree of the checkpoint before, also where the folder lost it (`Memory`),
and an entry that reached the disk is never replaced: an interrupted append is completed by the next one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from expunge.certify.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from expunge.certify.entry import encode_entry
from expunge.certify.keys import LogKey
from expunge.certify.memory import Memory, NoMemory
from expunge.certify.note import Verifier, split_note, verifier
from expunge.certify.proof import Proof
from expunge.certify.strict import read_json
from expunge.certify.tiles import (
    WIDTH,
    earlier_part,
    extended,
    layout,
    read_bundle,
    stored,
    tile_hashes,
    tile_path,
    tile_widths,
    write_bundle,
)
from expunge.certify.tree import (
    EMPTY_ROOT,
    RangeHash,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    over,
    root,
    verify_consistency,
)
from expunge.core.digests import canonical_json
from expunge.core.durable import (
    TEMPORARY,
    make_folder,
    only_writer,
    sync_folder,
    write_durably,
)
from expunge.core.errors import InvalidCertificate, InvalidParameter, NotReady
from expunge.core.refusals import explaining

CHECKPOINT = "checkpoint"
T = TypeVar("T")


class Log:
    """The log in `folder`, named `origin`. The folder must hold nothing else. `memory` is what its signer signed last.

    Reading checks that entries, tiles and checkpoint agree; the checkpoint's signature is checked by
    `append`, which has the key, and by `check`, which has the verifier key from the certificate.
    """

    def __init__(self, folder: Path, origin: str, memory: Memory | None = None) -> None:
        self.folder = folder
        self.origin = origin
        self.memory = memory or NoMemory()

    @property
    def size(self) -> int:
        """How many entries the checkpoint covers."""
        return self._state(self._note()).size

    def state(self) -> Checkpoint:
        """How many entries the checkpoint covers, and under which root; of a folder without one an empty log."""
        return self._state(self._note())

    def require_extension(self, size: int, root_hash: bytes) -> None:
        """Refuse a log that does not begin with `size` entries under this root: it was lost, rolled back or rewritten.

        Raises: InvalidCertificate.
        """

        def read(state: Checkpoint) -> bytes | None:
            return root(self._verified(state), size) if size <= state.size else None

        if (found := self._at_rest(read)) != root_hash:
            state = "holds fewer" if found is None else "begins with others"
            raise InvalidCertificate(
                f"the log at {self.folder} {state} than the {size} entries that its key has signed for; nothing was signed. "
                "Restore the newest copy of that folder; where there is none, begin a new log with `expunge log new`"
            )

    def checkpoint(self) -> str:
        """The signed checkpoint, as text to keep elsewhere or to publish.

        Raises: NotReady, if the log is empty: nothing was signed yet.
        """
        if (note := self._note()) is None:
            raise NotReady(f"the log at {self.folder} is empty and has no checkpoint yet; append an entry first")
        self._state(note)
        return note.decode("utf-8")

    def entries(self) -> list[dict[str, Any]]:
        """Every entry, in order.

        Raises: InvalidCertificate, if they are not those that the checkpoint covers.
        """
        return [read_json(entry, "a log entry") for entry in self._at_rest(self._encoded)]

    def find(self, entry: Mapping[str, Any]) -> int | None:
        """The index of the first entry that equals this one, or None."""
        entries = self._at_rest(self._encoded)
        data = encode_entry(entry)
        return entries.index(data) if data in entries else None

    def proof(self, index: int) -> str:
        """The text of a `.tlog-proof` file: that entry `index` is in the log at its present checkpoint.

        Raises: InvalidParameter, if there is no such entry.
        """

        def read(state: Checkpoint) -> str:
            if not 0 <= index < state.size:
                raise InvalidParameter(f"no entry {index} in the log at {self.folder}; it holds {state.size}")
            hashes = inclusion_proof(self._verified(state), index, state.size)
            return Proof(index, tuple(hashes), self.checkpoint()).text

        return self._at_rest(read)

    def append(self, entry: Mapping[str, Any], key: LogKey) -> int:
        """Append `entry` and return its index; when this returns, it is on disk under a signed checkpoint.

        1. The present checkpoint must be signed by `key`, the tiles on the right edge must lead to its root,
           and it must begin with what `memory` signed last, or lack nothing but the entry that is appended.
        2. An append that was interrupted is completed first; if it was of this same entry, that is its index.
        3. The new tree is proven to begin with the old one. The entry is written and flushed, then `memory` keeps
           the new checkpoint, then the tiles follow; the old checkpoint and its tiles still stand.
        4. The new checkpoint is signed and replaces the old one: the entry is in.
        5. Partial tiles go where the full one is there; until then they stay, for those who hold a checkpoint of
           their size (c2sp.org/tlog-tiles).

        Raises: InvalidCertificate, if the folder is not what its checkpoint and `memory` say (nothing is signed then);
        InvalidData, if the entry is too long; ProjectLocked, if another process is appending; StorageFull, if
        the disk has no room (the old state stands).
        """
        data = encode_entry(entry)
        by = verifier(self.origin, key)
        with explaining(self.folder):
            make_folder(self.folder)
        with only_writer(self.folder), explaining(self.folder):
            size, completed = self._complete(by, key)
            if completed == data:
                return size - 1
            self._commit(size, data, key)
            return size

    def repair(self, key: LogKey) -> None:
        """Complete an append that was interrupted, and delete what it left; does nothing to a log at rest."""
        if self.folder.is_dir():
            with only_writer(self.folder), explaining(self.folder):
                self._complete(verifier(self.origin, key), key)

    def check_whole(self) -> None:
        """See, before something new is signed that this log is named in, that the folder holds all that was signed.

        Raises: InvalidCertificate.
        """
        state, last = self._state(self._note()), self.memory.newest()
        if last is not None and state.size < last.size:
            raise self._not_the_last(last)

    # Reading

    def _note(self) -> bytes | None:
        try:
            return (self.folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    def _state(self, note: bytes | None) -> Checkpoint:
        if note is None:
            return Checkpoint(self.origin, 0, EMPTY_ROOT)
        found = read_checkpoint(split_note(note)[0])
        if found.origin != self.origin:
            raise InvalidCertificate(f"{self.folder} holds the log {found.origin!r}, asked for {self.origin!r}")
        return found

    def _at_rest(self, read: Callable[[Checkpoint], T]) -> T:
        """Read against one checkpoint; again, if an append moved it meanwhile and deleted its last tiles."""
        while True:
            note = self._note()
            try:
                found = read(self._state(note))
            except InvalidCertificate:
                if self._note() == note:
                    raise
            else:
                if self._note() == note:
                    return found

    def _read(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError as e:
            raise InvalidCertificate(
                f"the log at {self.folder} lacks {path}, which its checkpoint covers; restore it from a copy"
            ) from e

    def _verified(self, state: Checkpoint) -> RangeHash:
        """The log's range hash; its tiles lead to the root of the checkpoint."""
        hashes = stored(self._read, state.size)
        if root(hashes, state.size) != state.root:
            raise InvalidCertificate(f"the tiles of the log at {self.folder} do not lead to its checkpoint's root")
        return hashes

    def _encoded(self, state: Checkpoint) -> list[bytes]:
        entries = []
        for level, number, width in tile_widths(state.size):
            if level == 0:
                path = tile_path("entries", number, width)
                entries += read_bundle(self._read(path), width, path)
        if root(over([leaf_hash(entry) for entry in entries]), state.size) != state.root:
            raise InvalidCertificate(f"the entries of the log at {self.folder} are not those its checkpoint covers")
        return entries

    # Writing, under the lock

    def _complete(self, by: Verifier, key: LogKey) -> tuple[int, bytes | None]:
        """Steps 1 and 2 of `append`: the size at rest, and the entry that was completed, if one was."""
        note = self._note()
        size = 0 if note is None else open_checkpoint(note, by).size
        self._remembered(size, self._verified(self._state(note)))
        if pending := self._pending(size):
            self._commit(size, pending, key)
            return size + 1, pending
        self._tidy(size)
        return size, None

    def _pending(self, size: int) -> bytes | None:
        """The entry of an interrupted append, or None.

        Raises: InvalidCertificate, if files reach further than one interrupted append can: the checkpoint
        was lost or rolled back, and signing here would tell a second story.
        """
        present, following = layout(size), layout(size + 1)
        beyond = {path for path in self._tiles() if path not in present and not earlier_part(path, size)}
        entry = next(path for path in following - present if path.startswith("tile/entries/"))
        if beyond - following or (beyond and entry not in beyond):
            raise InvalidCertificate(
                f"the log at {self.folder} holds {min(beyond - following or beyond)}, beyond the {size} "
                "entries of its checkpoint, which was lost or rolled back; "
                "restore the newest one. Nothing was signed"
            )
        if not beyond:
            return None
        pending = read_bundle(self._read(entry), size % WIDTH + 1, entry)[-1]
        value = read_json(pending, "the unfinished entry")
        if not isinstance(value, dict) or "type" not in value or canonical_json(value) != pending:
            raise InvalidCertificate(f"{self.folder}/{entry} ends in no entry of a log; nothing was signed")
        return pending

    def _commit(self, size: int, data: bytes, key: LogKey) -> None:
        """Steps 3 to 5 of `append`."""
        note = self._note()
        before = self._state(note)
        old = self._verified(before)
        new = extended(old, size, leaf_hash(data))
        after = Checkpoint(self.origin, size + 1, root(new, size + 1))
        proof = consistency_proof(new, size, size + 1)
        if not verify_consistency(size, size + 1, proof, before.root, after.root):
            raise InvalidCertificate(f"the log at {self.folder} would not extend its checkpoint; nothing was signed")
        self._remembered(size + 1, new)

        # 3. Entries first: only an entry that is whole on disk can be completed after a crash. Kept before it is signed: what
        # was signed and forgotten could be signed differently.
        number, offset = divmod(size, WIDTH)
        bundle = [*self._bundle(old, size), data]
        write_durably(self.folder / tile_path("entries", number, offset + 1), write_bundle(bundle))
        self.memory.keep(after, read_json(data, "the entry"))
        span, level = 1, 0
        while (size + 1) % span == 0:
            number, offset = divmod((size + 1) // span - 1, WIDTH)
            tile = tile_hashes(new, level, number, offset + 1)
            write_durably(self.folder / tile_path(level, number, offset + 1), tile)
            span, level = span * WIDTH, level + 1

        # 4.
        write_durably(self.folder / CHECKPOINT, after.sign(key).encode("utf-8"))

        # 5.
        self._tidy(size + 1)

    def _remembered(self, size: int, hashes: RangeHash) -> None:
        """Refuse a tree that is not the one whose checkpoint was signed last: one that continues it, or precedes it by one
        entry, the one that is about to be appended.

        Raises: InvalidCertificate.
        """
        last = self.memory.newest()
        if last is None or size + 1 == last.size:
            return
        if last.origin != self.origin or size < last.size or root(hashes, last.size) != last.root:
            raise self._not_the_last(last)

    def _not_the_last(self, last: Checkpoint) -> InvalidCertificate:
        return InvalidCertificate(
            f"the log at {self.folder} is not the one that was signed last: {last.size} entries of {last.origin!r}, kept in the "
            "ledger. Restore the newest copy of the folder, from a backup or from whoever keeps one (`expunge log new` begins "
            "another log under a new name). Nothing was signed"
        )

    def _bundle(self, old: RangeHash, size: int) -> list[bytes]:
        """The entries of the last, partial bundle; empty where a new one begins."""
        number, width = divmod(size, WIDTH)
        if not width:
            return []
        path = tile_path("entries", number, width)
        entries = read_bundle(self._read(path), width, path)
        for index, entry in enumerate(entries, start=number * WIDTH):
            if leaf_hash(entry) != old(index, index + 1):
                raise InvalidCertificate(f"entry {index} of the log at {self.folder} was altered; nothing was signed")
        return entries

    def _tiles(self) -> list[str]:
        files = (p for p in (self.folder / "tile").rglob("*") if not p.is_dir() and not p.name.endswith(TEMPORARY))
        return [p.relative_to(self.folder).as_posix() for p in files]

    def _tidy(self, size: int) -> None:
        """Delete unfinished files, and partial tiles of which the full one is there."""
        present = layout(size)
        for path in (self.folder / "tile").rglob(f".*{TEMPORARY}"):
            path.unlink()
        for path in self.folder.glob(f".{CHECKPOINT}*{TEMPORARY}"):
            path.unlink()
        for name in self._tiles():
            if name.partition(".p/")[0] in present and earlier_part(name, size):
                (self.folder / name).unlink()
                if not any((self.folder / name).parent.iterdir()):
                    (self.folder / name).parent.rmdir()
        sync_folder(self.folder)
