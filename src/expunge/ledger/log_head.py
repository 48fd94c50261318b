"""The newest checkpoint of the log, remembered outside of it: a log that was lost or rolled back is found out before it is signed
again, and a second story is never told.

An entry is written down before it is appended and struck off, with the checkpoint that covers it, in the transaction of the
event that says so. Whatever stops a command, the entry that its key may have signed is the one that is appended next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expunge.core.errors import InvalidData
from expunge.ledger.plain import plain_json
from expunge.ledger.store import Store
from expunge.ledger.tables import LogHeadRow


@dataclass(frozen=True, kw_only=True)
class LogHead:
    """How many entries were signed for, under which root, by which key; and the entry that may have been signed since."""

    origin: str
    vkey: str
    size: int
    root: bytes
    pending: dict[str, Any] | None


def log_head(store: Store, origin: str) -> LogHead | None:
    """None for a log that nothing was remembered of: a new one, or one of an earlier release."""
    with store.database.read() as session:
        row = session.get(LogHeadRow, origin)
        return None if row is None else _head(row)


def intend_entry(store: Store, origin: str, vkey: str, size: int, root: bytes, entry: Mapping[str, Any]) -> LogHead:
    """Write down which entry is appended next to a log of this checkpoint.

    Raises: InvalidData, if another entry is being appended, or the log is another one than it was.
    """
    with store.database.write() as session:
        row = session.get(LogHeadRow, origin)
        given = (vkey, size, root.hex())
        if row is None:
            row = LogHeadRow(origin=origin, vkey=vkey, size=size, root=root.hex(), pending=None)
            session.add(row)
        if (row.vkey, row.size, row.root) != given or row.pending not in (None, plain_json(entry)):
            raise InvalidData(
                f"the log {origin} is remembered with {row.size} entries and another key, root or next entry"
            )
        row.pending = plain_json(entry)
        session.flush()
        return _head(row)


def remember_head(store: Store, origin: str, vkey: str, size: int, root: bytes) -> LogHead:
    """The newest checkpoint; nothing is being appended. Raises: InvalidData, if it is smaller than the one remembered."""
    with store.database.write() as session:
        row = session.get(LogHeadRow, origin)
        if row is None:
            row = LogHeadRow(origin=origin, vkey=vkey, size=size, root=root.hex(), pending=None)
            session.add(row)
        if size < row.size or vkey != row.vkey:
            raise InvalidData(
                f"the log {origin} was signed for {row.size} entries; {size} cannot be its newest checkpoint"
            )
        row.size, row.root, row.pending = size, root.hex(), None
        session.flush()
        return _head(row)


def _head(row: LogHeadRow) -> LogHead:
    return LogHead(origin=row.origin, vkey=row.vkey, size=row.size, root=bytes.fromhex(row.root), pending=row.pending)
