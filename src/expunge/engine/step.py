"""What a method sees at one step: a forget batch and a retain batch, each computed only as far as its loss asks.

A quantity of the original model (`reference_…`) is computed once per row before training starts and looked up after
that, so no second model is held in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from expunge.engine.batches import IGNORE, Batch, collate
from expunge.engine.hidden import hidden_at, layers_of
from expunge.engine.logprobs import sequence_logp, token_logp
from expunge.engine.text import Encoded


class Reference(StrEnum):
    """A quantity of the original model that a method needs."""

    SEQUENCE_LOGP = "sequence_logp"  # of the forget rows
    HIDDEN = "hidden"  # of the retain rows, at the blocks the method asks for


class Side:
    """One batch under the model in training. Nothing is computed before a loss touches it."""

    def __init__(self, model: Any, batch: Batch, cache: "ReferenceCache") -> None:
        self._model, self._batch, self._cache = model, batch, cache

    @cached_property
    def _token_logp(self) -> tuple[Tensor, Tensor]:
        return token_logp(self._model, self._batch)

    @property
    def logp_B(self) -> Tensor:
        """Log-probability of each row's answer, nats."""
        logp_N, row_N = self._token_logp
        return torch.zeros(len(self._batch), dtype=logp_N.dtype, device=logp_N.device).index_add(0, row_N, logp_N)

    @property
    def nll(self) -> Tensor:
        """Mean negative log-likelihood per answer token."""
        return -self._token_logp[0].mean()

    @property
    def reference_logp_B(self) -> Tensor:
        """The same as `logp_B` under the original model."""
        return torch.tensor([self._cache.logp[row] for row in self._batch.rows], device=self._batch.ids_BT.device)

    @property
    def answer_mask_BT(self) -> Tensor:
        """1 where a token belongs to the answer."""
        return (self._batch.labels_BT != IGNORE).long()

    def hidden(self, block: int) -> Tensor:
        """Output of a block, [B, T, D]; the blocks above do not run."""
        return hidden_at(self._model, self._batch, block)

    def reference_hidden(self, block: int) -> Tensor:
        """The same under the original model; zero at padding."""
        return self._cache.hidden(self._batch, block)


@dataclass(frozen=True)
class Step:
    """What `method.loss` is given."""

    forget: Side
    retain: Side
    depth: int


class ReferenceCache:
    """Quantities of the original model, one row at a time, computed before any weight moves."""

    def __init__(self) -> None:
        self.logp: dict[str, float] = {}
        self._hidden: dict[tuple[int, str], Tensor] = {}

    @torch.no_grad()
    def fill(
        self,
        needs: Sequence[Reference],
        model: Any,
        forget: Sequence[Encoded],
        retain: Sequence[Encoded],
        block: int,
        pad: int,
    ) -> None:
        device = next(model.parameters()).device
        if Reference.SEQUENCE_LOGP in needs:
            for batch in _in_batches(forget, pad):
                logp_B = sequence_logp(model, batch.to(device))
                self.logp.update(zip(batch.rows, logp_B.tolist(), strict=True))
        if Reference.HIDDEN in needs:
            for batch in _in_batches(retain, pad):
                hidden_BTD = hidden_at(model, batch.to(device), block)
                lengths = batch.mask_BT.sum(dim=1).tolist()
                for i, row in enumerate(batch.rows):
                    self._hidden[block, row] = hidden_BTD[i, : lengths[i]].cpu().clone()

    def hidden(self, batch: Batch, block: int) -> Tensor:
        rows = [self._hidden[block, row] for row in batch.rows]
        out = torch.zeros(*batch.ids_BT.shape, rows[0].shape[-1], dtype=rows[0].dtype)
        for i, row_TD in enumerate(rows):
            out[i, : len(row_TD)] = row_TD
        return out.to(batch.ids_BT.device)


def step_maker(model: Any, cache: ReferenceCache, pad: int) -> Callable[[Sequence[Encoded], Sequence[Encoded]], Step]:
    """A function from drawn rows to what the method sees."""
    depth, device = len(layers_of(model)), next(model.parameters()).device

    def make(forget: Sequence[Encoded], retain: Sequence[Encoded]) -> Step:
        sides = [Side(model, collate(rows, pad).to(device), cache) for rows in (forget, retain)]
        return Step(sides[0], sides[1], depth)

    return make


def _in_batches(rows: Sequence[Encoded], pad: int, size: int = 64) -> list[Batch]:
    unique = {e.id: e for e in rows}
    ordered = sorted(unique.values(), key=lambda e: len(e.ids))
    return [collate(ordered[k : k + size], pad) for k in range(0, len(ordered), size)]
