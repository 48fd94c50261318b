"""What a method sees at one step: a forget batch and a retain batch, each computed only as far as its loss asks.

A quantity of the original model (`reference_…`) is computed once per row before training starts and looked up after
that, so no second model is held in memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter
from expunge.engine.batches import IGNORE, Batch, collate
from expunge.engine.packed import pack
from expunge.engine.references import Flat, flat
from expunge.engine.text import Encoded
from expunge.engine.trunk import Trunk

AT_ONCE = 2**27  # logits of one side: half a gigabyte in float32
FORGET, RETAIN, ALTERNATE = "forget", "retain", "alternate"


class Reference(StrEnum):
    """A quantity of the original model, of one side's rows, that a method needs."""

    FORGET_LOGP = "forget logp"  # of each row's answer
    ALTERNATE_LOGP = "alternate logp"
    FORGET_LOGITS = "forget logits"  # at every answer token; kept as what the vocabulary head reads
    RETAIN_LOGITS = "retain logits"
    FORGET_HIDDEN = "forget hidden"  # at the answers' tokens, after the block the method names
    RETAIN_HIDDEN = "retain hidden"

    @property
    def side(self) -> str:
        return self.value.partition(" ")[0]

    @property
    def what(self) -> str:
        return self.value.partition(" ")[2]


class Side(Protocol):
    """One batch under the model in training. Nothing is computed before a loss touches it, and nothing twice.

    N counts answer tokens of all rows (for a classifier, rows), B rows, V words (classes).
    """

    @property
    def rows(self) -> tuple[str, ...]: ...
    @property
    def logits_NV(self) -> Tensor: ...
    @property
    def labels_N(self) -> Tensor: ...
    @property
    def row_N(self) -> Tensor: ...
    @property
    def logp_N(self) -> Tensor: ...
    @property
    def logp_B(self) -> Tensor: ...
    @property
    def length_B(self) -> Tensor: ...
    @property
    def nll(self) -> Tensor: ...
    @property
    def reference_logp_B(self) -> Tensor: ...
    @property
    def reference_logits_NV(self) -> Tensor: ...
    def hidden_ND(self, block: int) -> Tensor: ...
    def reference_hidden_ND(self, block: int) -> Tensor: ...


@dataclass(frozen=True)
class Step:
    """What `method.loss` is given: batches, the model's depth in blocks, and where training stands.

    `alternate` holds the forget rows' questions with other answers, for methods that name some. `again` is the same rows
    with nothing computed yet, for methods that look at a model twice.
    """

    forget: Any
    retain: Any
    depth: int = 0
    alternate: Any = None
    number: int = 0  # of this step, from 0
    total: int = 1
    epoch: int = 0  # passes over the forget set so far
    again: Callable[[], "Step"] | None = None


class TextSide:
    """A side of a language model."""

    def __init__(self, model: Any, batch: Batch, cache: "ReferenceCache", name: str) -> None:
        self._trunk, self._batch, self._cache, self._name = Trunk.of(model), batch, cache, name

    @property
    def rows(self) -> tuple[str, ...]:
        """The ids of the rows."""
        return self._batch.rows

    @cached_property
    def _at(self) -> tuple[Tensor, Tensor]:
        """Line and column of what predicts an answer token, [N], [N]."""
        return self._batch.predicts

    @cached_property
    def logits_NV(self) -> Tensor:
        """Logits at answer tokens only, in float32; no other position reaches the vocabulary head."""
        with self._cache.prefix(self._trunk, self._batch, self._name):
            return self._trunk.logits_at(*self._at, **self._trunk.inputs(self._batch)).float()

    @property
    def head_states_ND(self) -> Tensor:
        """What the vocabulary head reads where it predicts an answer token."""
        with self._cache.prefix(self._trunk, self._batch, self._name):
            return self._trunk.head_states(*self._at, **self._trunk.inputs(self._batch))

    @cached_property
    def labels_N(self) -> Tensor:
        line, at = self._at
        return self._batch.labels_BT[line, at + 1]

    @property
    def mask_BT(self) -> Tensor:
        """Which positions hold a token; the others are padding."""
        return self._batch.mask_BT

    @property
    def row_N(self) -> Tensor:
        """The row of each answer token."""
        return self._batch.row_BT[self._at]

    @cached_property
    def logp_N(self) -> Tensor:
        """Log-probability of each answer token, nats; where all logits would be too many, of a part of them at a time."""
        many = len(self.row_N) * self._trunk.vocabulary > AT_ONCE
        if many and "logits_NV" not in vars(self):
            return self._logp_in_parts()
        return -F.cross_entropy(self.logits_NV, self.labels_N, reduction="none")

    def _logp_in_parts(self) -> Tensor:
        """The same, each part's logits computed again on the way back instead of kept."""
        size = max(1, AT_ONCE // self._trunk.vocabulary)
        logp = lambda s_ND, y_N: -F.cross_entropy(self._trunk.head_logits(s_ND), y_N, reduction="none")
        parts = zip(torch.split(self.head_states_ND, size), torch.split(self.labels_N, size), strict=True)
        return torch.cat([checkpoint(logp, s, y, use_reentrant=False) for s, y in parts])

    @property
    def logp_B(self) -> Tensor:
        """Log-probability of each row's answer, nats."""
        return _by_row(self.logp_N, self.row_N, len(self._batch))

    @property
    def length_B(self) -> Tensor:
        """Answer tokens of each row."""
        return torch.bincount(self.row_N, minlength=len(self._batch)).to(torch.float32)

    @property
    def nll(self) -> Tensor:
        """Mean negative log-likelihood per answer token."""
        return -self.logp_N.mean()

    @property
    def reference_logp_B(self) -> Tensor:
        """The same as `logp_B` under the original model."""
        return self._cache.of(self._name, "logp", self._batch)[:, 0]

    @property
    def reference_logits_NV(self) -> Tensor:
        """The same as `logits_NV` under the original model: its kept states through its own head."""
        return self._cache.read_out(self._cache.of(self._name, "logits", self._batch))

    def hidden_ND(self, block: int) -> Tensor:
        """Output of a block at the answers' tokens, [n, D]; the blocks above do not run, nor what is kept below."""
        self._cache.check(block)
        with self._cache.prefix(self._trunk, self._batch, self._name):
            hidden_BTD = self._trunk.states(self._batch, block, masked=False)
        return hidden_BTD[self._batch.labels_BT != IGNORE]

    def reference_hidden_ND(self, block: int) -> Tensor:
        """The same under the original model.

        Raises: InvalidParameter, for another block than the one that the method names by `block`.
        """
        return self._cache.states(self._name, self._batch, block)

    @property
    def answer_row_N(self) -> Tensor:
        """The row of each state of `hidden_ND`."""
        return self._batch.row_BT[self._batch.labels_BT != IGNORE]


def by_row_mean(values_N: Tensor, row_N: Tensor, n_rows: int) -> Tensor:
    """Mean over rows of each row's own mean: every row is divided by its own length.

    >>> by_row_mean(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1]), 2)
    tensor(3.)
    """
    length_B = torch.bincount(row_N, minlength=n_rows)
    return (_by_row(values_N.float(), row_N, n_rows) / length_B).mean()


def _by_row(values_N: Tensor, row_N: Tensor, n_rows: int) -> Tensor:
    return torch.zeros(n_rows, dtype=values_N.dtype, device=values_N.device).index_add(0, row_N, values_N)


class ReferenceCache:
    """Quantities of the original model, row by row, computed before any weight moves. See `references`."""

    def __init__(self, pad: int = 0, folder: Path | None = None, model_digest: str = "") -> None:
        self._pad, self._folder, self._digest = pad, folder, model_digest
        self._kept: dict[tuple[str, str], Flat] = {}
        self._head: Callable[[Tensor], Tensor] | None = None
        self._first = 0  # the first block that runs; what it reads is kept
        self._block = 0  # the block whose output is kept

    def fill(
        self,
        needs: Sequence[Reference],
        model: Any,
        sides: Mapping[str, Sequence[Encoded]],
        block: int = 0,
        first: int = 0,
    ) -> None:
        """Compute what a method needs of the rows of each side; from `first` > 0 on also what that block reads."""
        self._first, self._block = first, block
        for name, rows in sides.items():
            for what in [r.what for r in needs if r.side == name] + (["prefix"] if first and rows else []):
                self._kept[name, what] = self._rows(what, model, rows, first - 1 if what == "prefix" else block)
        if any(r.what == "logits" for r in needs):
            self._head = Trunk.of(model).frozen_head()

    def of(self, name: str, what: str, batch: Batch) -> Tensor:
        return self._kept[name, what].of(batch.rows).to(batch.ids_BT.device)

    def states(self, name: str, batch: Batch, block: int) -> Tensor:
        if block != self._block:
            raise InvalidParameter(
                f"states of the original model are kept after block {self._block}, asked for {block}"
            )
        return self.of(name, "hidden", batch)

    def read_out(self, states_ND: Tensor) -> Tensor:
        assert self._head is not None
        with torch.no_grad():
            return self._head(states_ND)

    def check(self, block: int) -> None:
        """Raises: InvalidParameter, for a block that is not run because nothing up to it is trained."""
        if block < self._first:
            raise InvalidParameter(
                f"block {block} is read and the first trained one is {self._first}; its states cannot change, read a later one"
            )

    def prefix(self, trunk: Trunk, batch: Batch, name: str) -> AbstractContextManager[None]:
        """Meanwhile the frozen blocks at the bottom do not run: what they would say is known."""
        if not self._first or (name, "prefix") not in self._kept:
            return nullcontext()
        states_BTD = torch.zeros(*batch.ids_BT.shape, self._kept[name, "prefix"].data_ND.shape[1])
        states_BTD[batch.mask_BT.cpu().bool()] = self._kept[name, "prefix"].of(batch.rows)
        return trunk.from_block(self._first, states_BTD.to(next(trunk.model.parameters())))

    def _rows(self, what: str, model: Any, rows: Sequence[Encoded], block: int) -> Flat:
        unique = list({e.id: e for e in rows}.values())
        names = [e.id for e in unique]
        lengths = [_length(what, e) for e in unique]
        key = digest_json("reference", [self._digest, what, block, [[e.id, list(e.ids), e.n_prompt] for e in unique]])
        return flat(names, lengths, lambda: self._computed(what, model, unique, block), self._folder, key)

    @torch.no_grad()
    def _computed(self, what: str, model: Any, rows: Sequence[Encoded], block: int) -> Iterator[tuple[str, Tensor]]:
        trunk = Trunk.of(model)
        ordered = sorted(rows, key=lambda e: len(e.ids))
        for k in range(0, len(ordered), 64):
            batch = collate(ordered[k : k + 64], self._pad).to(trunk.device)
            labelled_BT, side = batch.labels_BT != IGNORE, TextSide(model, batch, ReferenceCache(), "")
            if what == "logp":
                found_ND, counts = side.logp_B[:, None], [1] * len(batch)
            elif what == "logits":
                found_ND, counts = side.head_states_ND, labelled_BT.sum(1).tolist()
            else:
                marked_BT = batch.mask_BT.bool() if what == "prefix" else labelled_BT
                found_ND, counts = trunk.states(batch, block, masked=False)[marked_BT], marked_BT.sum(1).tolist()
            yield from zip(batch.rows, torch.split(found_ND, counts), strict=True)


def step_maker(model: Any, cache: ReferenceCache, pad: int, packs: bool = False) -> Callable[..., Step]:
    """A function from drawn rows to what the method sees; `packs` if the model reads rows in one line."""
    trunk = Trunk.of(model)
    depth, device, _ = len(trunk.blocks), trunk.device, trunk.sees_padding  # tried now, while nothing is patched
    lay = pack if packs else partial(collate, pad_id=pad)

    def make(
        forget: Sequence[Encoded],
        retain: Sequence[Encoded],
        alternate: Sequence[Encoded] = (),
        number: int = 0,
        total: int = 1,
        epoch: int = 0,
    ) -> Step:
        drawn = {FORGET: forget, RETAIN: retain, ALTERNATE: alternate}
        sides = {
            name: TextSide(model, lay(rows).to(device), cache, name) if rows else None for name, rows in drawn.items()
        }
        again = lambda: make(forget, retain, alternate, number, total, epoch)
        return Step(sides[FORGET], sides[RETAIN], depth, sides[ALTERNATE], number, total, epoch, again)

    return make


def _length(what: str, row: Encoded) -> int:
    """Positions kept of a row: one; those that are answered; or all."""
    return {"logp": 1, "prefix": len(row.ids)}.get(what, len(row.ids) - row.n_prompt)
