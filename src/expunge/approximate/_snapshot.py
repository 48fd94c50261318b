"""Weights worth going back to: in memory, and where there is a file in it too, for a process after a kill.

The file is written when it is asked for, not at every state taken: a file of all weights is what a checkpoint costs.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from expunge.core.digested import find_digested, written_digested
from expunge.engine import ranks


class Snapshot:
    """The last state taken, with a label that says what it is."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._taken: tuple[str, dict[str, Tensor]] | None = None
        self._written: str | None = None

    def take(self, weights: Mapping[str, Tensor], label: str) -> None:
        """Keep a copy of these weights in place of the last one."""
        state = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in weights.items()}
        self._taken = label, state

    def write(self) -> None:
        """Put the last state into the file, if there is one and it holds another."""
        if self._path and self._taken and self._written != self._taken[0] and ranks()[0] == 0:
            label, state = self._taken
            save_whole(state, self._path, {"label": label})
            self._written = label

    def label(self) -> str | None:
        """That of the last state, an earlier process's too; None where none was taken.

        Raises: UnreadableModel, where its file is damaged.
        """
        if self._taken is None and self._path and (path := find_digested(self._path)):
            with safe_open(path, framework="pt") as file:
                self._taken = (file.metadata() or {})["label"], load_file(path)
        return self._taken[0] if self._taken else None

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Put the last state back into these weights."""
        assert self._taken is not None
        for name, p in weights.items():
            p.copy_(self._taken[1][name])


def save_whole(state: Mapping[str, Tensor], path: Path, words: Mapping[str, str]) -> None:
    """Write tensors and some words; a process that dies meanwhile leaves what was there before."""
    with written_digested(path) as beside:
        save_file(dict(state), beside, metadata=dict(words))
