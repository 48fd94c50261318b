"""Prompts that a model has read once, and what follows them: several answers to one question, or an answer as it grows.

Prompts are padded on the left, so that all end in the last column and one cache serves rows of any length.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from expunge.engine.rounding import same
from expunge.engine.trunk import REFUSALS, Trunk


@dataclass
class Prefix:
    """Rows that a model has read: its cache of them, which columns are no padding, and its logits after each, [B, V]."""

    cache: Any
    mask_BT: Tensor
    logits_BV: Tensor

    def rows(self, index_N: Tensor) -> "Prefix":
        """The same rows in another order, fewer, or several times; what is read after one leaves the other as it is."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        cache.batch_select_indices(index_N)
        return Prefix(cache, self.mask_BT[index_N], self.logits_BV[index_N])

    def read(self, model: Any, ids_BT: Tensor, mask_BT: Tensor, row_N: Tensor, at_N: Tensor) -> Tensor:
        """Read on, padded on the right where `mask_BT` is 0; logits at N positions (row, column) of `ids_BT`, [N, V]."""
        position_BT = self.mask_BT.sum(1, keepdim=True) + torch.arange(ids_BT.shape[1], device=ids_BT.device)
        self.mask_BT = torch.cat([self.mask_BT, mask_BT], dim=1)
        inputs = _inputs(ids_BT, self.mask_BT, position_BT, self.cache)
        return Trunk.of(model).logits_at(row_N, at_N, **inputs)

    def say(self, model: Any, ids_B: Tensor) -> None:
        """Read one more token in each row."""
        position_B1 = self.mask_BT.sum(1, keepdim=True)
        self.mask_BT = torch.cat([self.mask_BT, torch.ones_like(position_B1)], dim=1)
        inputs = _inputs(ids_B[:, None], self.mask_BT, position_B1, self.cache)
        self.logits_BV = model(**inputs).logits[:, -1]


def read(model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> Prefix:
    """Read prompts of different lengths in one pass; only their last column reaches the vocabulary head."""
    from transformers import DynamicCache

    device = next(model.parameters()).device
    ids_BT, mask_BT = (t.to(device) for t in pad_left(prompts, pad_id))
    cache = DynamicCache(config=model.config)
    inputs = _inputs(ids_BT, mask_BT, (mask_BT.cumsum(1) - 1).clamp(min=0), cache)
    return Prefix(cache, mask_BT, model(**inputs, logits_to_keep=1).logits[:, -1])


def pad_left(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids and mask of prompts that all end in the last column, as generation needs them."""
    width = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p) :] = torch.tensor(p)
        mask[i, width - len(p) :] = 1
    return ids, mask


def reads_on(model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> bool:
    """Whether reading on after prompts gives what reading whole rows gives; False where a model takes no such cache.

    Tried on the shortest prompt beside the next longer one, with all that is done here: padding, two rows of one cache,
    reading on. Models that pass positions or caches in their own way, that look at whole rows, or whose logits are not
    numbers are told by this and by no list of names.
    """
    by_length = sorted(prompts, key=len)
    short = by_length[0]
    longer = next((p for p in by_length if len(p) > len(short)), [*short, short[0]])
    after = longer[:2]
    try:
        whole = torch.tensor([[*short, *after]], device=next(model.parameters()).device)
        expected_V = torch.as_tensor(model(input_ids=whole, attention_mask=torch.ones_like(whole)).logits)[0]
        prefix = read(model, [longer, short], pad_id).rows(torch.tensor([1, 1], device=whole.device))
        first = prefix.logits_BV[0]
        for token in after:
            prefix.say(model, torch.full((2,), token, device=whole.device))
    except REFUSALS:
        return False
    return same(first, expected_V[len(short) - 1]) and same(prefix.logits_BV[1], expected_V[-1])


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Without dropout and without gradients; every module is left in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _inputs(ids_BT: Tensor, mask_BT: Tensor, position_BT: Tensor, cache: Any) -> dict[str, Any]:
    named = {"input_ids": ids_BT, "attention_mask": mask_BT, "position_ids": position_BT}
    return {**named, "past_key_values": cache, "use_cache": True}
