"""Batches of token ids with masks and labels, in an order that depends on record ids and a secret alone."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from expunge.engine.text import Encoded

IGNORE = -100


class _Named(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_Named)


@dataclass(frozen=True)
class Batch:
    """Right-padded rows; or with `lengths` rows in one line, B = 1 (see `packing`).

    `labels_BT` is IGNORE where nothing is learned: padding, and questions if asked for.

    The mask comes from lengths, never from comparing ids with a pad id: pad and end of text are often the same token,
    and a mask that hides every end of text breaks training (open-unlearning, issue 128).
    """

    ids_BT: Tensor
    mask_BT: Tensor
    labels_BT: Tensor
    rows: tuple[str, ...]
    lengths: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> "Batch":
        tensors = (self.ids_BT.to(device), self.mask_BT.to(device), self.labels_BT.to(device))
        return Batch(*tensors, self.rows, self.lengths)

    @cached_property
    def row_BT(self) -> Tensor:
        """The row, from 0, that each position belongs to."""
        device = self.ids_BT.device
        if self.lengths:
            return torch.repeat_interleave(torch.tensor(self.lengths, device=device))[None]
        return torch.arange(len(self), device=device)[:, None].expand_as(self.ids_BT)

    @property
    def predicts(self) -> tuple[Tensor, Tensor]:
        """Where a labelled token is predicted: line and column of the position before it, [N], [N]."""
        labelled_BT = self.labels_BT[:, 1:] != IGNORE
        line, at = (labelled_BT & (self.row_BT[:, 1:] == self.row_BT[:, :-1])).nonzero(as_tuple=True)
        return line, at

    @property
    def inputs(self) -> dict[str, Any]:
        """What a model is given that looks only at what stands before. No mask: padding stands on the right, and without one
        attention takes its faster way. `Trunk.inputs` adds the mask for a model that would see the padding."""
        if not self.lengths:
            return {"input_ids": self.ids_BT, "use_cache": False}
        ends = torch.tensor((0, *self.lengths), device=self.ids_BT.device).cumsum(0).to(torch.int32)
        position_BT = torch.arange(self.ids_BT.shape[1], device=ends.device)[None] - ends[self.row_BT]
        inputs = {"input_ids": self.ids_BT, "position_ids": position_BT, "cu_seq_lens_q": ends, "use_cache": False}
        return inputs | {
            "attention_mask": ends.new_ones((1, 1, 1, 1), dtype=torch.bool)
        }  # not read; else N x N are made


def collate(encoded: Sequence[Encoded], pad_id: int = 0, learn_question: bool = False) -> Batch:
    """Pad to the longest row of this batch.

    >>> batch = collate([Encoded("a", (5, 6, 7), 1), Encoded("b", (5, 6), 1)])
    >>> batch.labels_BT.tolist()
    [[-100, 6, 7], [-100, 6, -100]]
    >>> batch.mask_BT.tolist()
    [[1, 1, 1], [1, 1, 0]]
    """
    width = max(len(e.ids) for e in encoded)
    ids = torch.full((len(encoded), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(encoded), width), dtype=torch.long)
    labels = torch.full((len(encoded), width), IGNORE, dtype=torch.long)
    for i, e in enumerate(encoded):
        n, first = len(e.ids), 0 if learn_question else e.n_prompt
        ids[i, :n] = torch.tensor(e.ids)
        mask[i, :n] = 1
        labels[i, first:n] = ids[i, first:n]
    return Batch(ids, mask, labels, tuple(e.id for e in encoded))


def keyed_order(ids: Sequence[str], secret: bytes, *context: str | int) -> list[int]:
    """A shuffle that removing a record leaves unchanged for all the others: sorted by HMAC(secret, context, id).

    >>> order = keyed_order(["a", "b", "c", "d"], b"salt", "epoch", 1)
    >>> kept = [i for i in order if i != 2]
    >>> names = ["a", "b", "d"]
    >>> [names[i] for i in keyed_order(names, b"salt", "epoch", 1)] == [["a", "b", "c", "d"][i] for i in kept]
    True
    """
    prefix = "\x1f".join(str(c) for c in context).encode() + b"\x1e"
    keys = [hmac.digest(secret, prefix + i.encode(), hashlib.sha256) for i in ids]
    return sorted(range(len(ids)), key=lambda i: (keys[i], ids[i]))


def epoch_batches(rows: Sequence[R], batch_size: int, secret: bytes, *context: str | int) -> list[list[R]]:
    """One pass over the rows in keyed order, cut into batches."""
    order = keyed_order([row.id for row in rows], secret, *context)
    return [[rows[i] for i in order[k : k + batch_size]] for k in range(0, len(order), batch_size)]
