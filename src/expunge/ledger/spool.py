"""Rows of fixed width that are sorted on disk, so that a table may be larger than memory."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from expunge.core.refusals import explaining

Rows = NDArray[np.uint8]  # N rows of W bytes
_BUCKETS = 256
_BATCH = 1 << 16


class Spool:
    """Takes rows in any order and gives them back sorted by their bytes.

    They lie in one file without a name, which is gone with this process, whatever ends it. Memory holds 65,536 rows, or the
    rows that share a first byte: these should begin with something random, as references and commitments do.

    >>> with Spool(Path("/tmp"), width=2) as spool:
    ...     spool.add(np.array([[2, 1], [1, 9], [1, 3]], np.uint8))
    ...     np.concatenate(list(spool.buckets())).tolist()
    [[1, 3], [1, 9], [2, 1]]
    """

    def __init__(self, folder: Path, width: int) -> None:
        self.n_rows = 0
        self._folder, self._width = folder, width
        self._waiting: list[Rows] = []
        self._n_waiting = 0
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(_BUCKETS)]  # by first byte: offset and bytes

    def __enter__(self) -> "Spool":
        with explaining(self._folder):
            self._file = TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def add(self, rows: Rows) -> None:
        """Raises: StorageFull."""
        self._waiting.append(rows)
        self._n_waiting += len(rows)
        self.n_rows += len(rows)
        if self._n_waiting >= _BATCH:
            self._write()

    def buckets(self) -> Iterator[Rows]:
        """The rows, sorted, those of one first byte after another; a byte that begins no row gives no rows."""
        self._write()
        for places in self._places:
            parts = []
            for offset, size in places:
                self._file.seek(offset)
                parts.append(self._file.read(size))
            yield sorted_rows(np.frombuffer(b"".join(parts), np.uint8).reshape(-1, self._width))

    def _write(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting, self._n_waiting = [], 0
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        ends = np.searchsorted(rows[:, 0], np.arange(_BUCKETS), side="right")
        with explaining(self._folder):
            at = self._file.seek(0, 2)
            self._file.write(rows.data)
        begin = 0
        for bucket, end in enumerate(ends.tolist()):
            if end > begin:
                self._places[bucket].append((at + begin * self._width, (end - begin) * self._width))
            begin = end


def sorted_rows(rows: Rows) -> Rows:
    """Rows in the order of their bytes."""
    return np.sort(as_texts(rows)).view(np.uint8).reshape(rows.shape)


def as_texts(rows: Rows) -> NDArray[np.bytes_]:
    """Each row as one value that compares by its bytes."""
    return np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").reshape(-1)
