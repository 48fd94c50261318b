"""What the original model said of every row, computed once before any weight moves: no second model is held in memory.

Kept as one flat array per quantity with the rows' offsets, in memory or, where it is large, in a file that is mapped; and
found again in a folder by the digests of the model and of the rows.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.core.digested import find_digested, written_digested
from expunge.core.errors import UnreadableModel

IN_MEMORY = 2**30  # bytes of one quantity above which it lives in a file

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Flat:
    """Rows of different lengths in one array [N, D]; row r is data[start[r] : start[r + 1]]."""

    data_ND: Floats
    start: NDArray[np.int64]
    place: dict[str, int]

    def of(self, rows: Sequence[str]) -> Tensor:
        """These rows one after the other, [n, D]."""
        spans = [self.data_ND[self.start[i] : self.start[i + 1]] for i in (self.place[row] for row in rows)]
        return torch.from_numpy(np.concatenate(spans))


def flat(
    rows: Sequence[str],
    lengths: Sequence[int],
    compute: Callable[[], Iterable[tuple[str, Tensor]]],
    folder: Path | None = None,
    key: str = "",
    in_memory: int = IN_MEMORY,
) -> Flat:
    """The array of what `compute` yields row by row, each [length, D]; read from `folder` if it is there, whole, by that key.

    Without a folder, an array above `in_memory` bytes lives in a temporary file that goes with the process.
    """
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = {row: i for i, row in enumerate(rows)}
    stored = folder / f"{key.removeprefix('sha256:')}.npy" if folder else None
    if stored:
        with suppress(UnreadableModel, FileNotFoundError):  # damaged, or just replaced by another process
            if found := find_digested(stored):
                return Flat(np.load(found, mmap_mode="r"), start, place)
    computed = iter(compute())
    first = next(computed, None)
    shape = (int(start[-1]), first[1].shape[1] if first else 0)
    n_bytes, rest = 4 * shape[0] * shape[1], chain([first] if first else [], computed)

    def filled(data: Floats) -> Flat:
        for row, values in rest:
            at = place[row]
            data[start[at] : start[at + 1]] = values.float().cpu().numpy()
        return Flat(data, start, place)

    if stored:
        with written_digested(stored) as beside:
            mapped = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape)
            done = filled(mapped)
            mapped.flush()
        return done
    if n_bytes > in_memory:
        with tempfile.TemporaryFile() as file:  # the mapping outlives the name
            return filled(np.memmap(file, np.float32, "w+", shape=shape))
    return filled(np.empty(shape, np.float32))
