"""Let a model go on from token ids: greedily, or by drawing, with numbers that are given and so repeat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.core.errors import InvalidParameter
from expunge.engine.generation import pad_id
from expunge.engine.prefix import evaluating, read, reads_on
from expunge.engine.text import end_ids

_CELLS = 2**23  # rows x vocabulary at once: 32 MB of logits
_STILL = 0.85  # rows that ended are dropped once fewer than this share go on: dropping copies the cache


def sampled_texts(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, seed: int
) -> list[str]:
    """What follows each prompt, drawn at temperature 1 from the whole vocabulary; the same seed gives the same texts.

    Decoded without special tokens and outer spaces. Raises: InvalidParameter, as `spoken`.
    """
    if not prompts:
        return []
    generator = torch.Generator().manual_seed(seed)
    uniform_RT = torch.rand(len(prompts), max_new_tokens, generator=generator, dtype=torch.float64).numpy()
    ids = spoken(model, tokenizer, prompts, max_new_tokens, uniform_RT)
    return [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]


def spoken(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    n_new: int,
    uniform_RT: NDArray[np.float64] | None = None,
) -> list[list[int]]:
    """Up to `n_new` tokens after each prompt, without the end of text. The same prompt may stand in many rows.

    `uniform_RT` holds a number in [0, 1) for each row and step: each token is drawn at temperature 1 from the whole
    vocabulary by inverting its distribution function, so rows depend on their own numbers alone, not on the batch they are
    in, and models that get the same numbers differ no more than their distributions do. Without it the likeliest token is
    taken.

    Raises: InvalidParameter, where the model keeps no cache that it can read on from, or its logits are not numbers.
    """
    if not prompts:
        return []
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), tuple(prompts[i])))
    size = max(1, _CELLS // len(tokenizer))
    answers: list[list[int]] = [[] for _ in prompts]
    with evaluating(model):
        if not reads_on(model, [prompts[order[0]], prompts[order[-1]]], pad_id(tokenizer)):
            raise InvalidParameter("the model cannot go on from a cache of its own, or its logits are not finite")
        for k in range(0, len(order), size):
            part = order[k : k + size]
            uniform_BT = None if uniform_RT is None else uniform_RT[part]
            for i, ids in zip(
                part, _batch(model, tokenizer, [prompts[i] for i in part], n_new, uniform_BT), strict=True
            ):
                answers[i] = ids
    return answers


def _batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    n_new: int,
    uniform_BT: NDArray[np.float64] | None,
) -> list[list[int]]:
    """One batch, each prompt read once."""
    unique = {tuple(p): i for i, p in enumerate(dict.fromkeys(map(tuple, prompts)))}
    prefix = read(model, list(unique), pad_id(tokenizer))
    device = prefix.mask_BT.device
    prefix = prefix.rows(torch.tensor([unique[tuple(p)] for p in prompts], device=device))
    row = torch.arange(len(prompts))  # whose text each row of the batch is
    going = torch.ones_like(row, dtype=torch.bool)
    answers: list[list[int]] = [[] for _ in prompts]
    ending = torch.tensor(end_ids(model, tokenizer))
    for t in range(n_new):
        token = _chosen(prefix.logits_BV, None if uniform_BT is None else uniform_BT[row.numpy(), t])
        going &= ~torch.isin(token, ending)
        for i, word in zip(row[going].tolist(), token[going].tolist(), strict=True):
            answers[i].append(word)
        if t + 1 == n_new or not going.any():
            break
        if going.sum() < _STILL * len(row):
            prefix = prefix.rows(going.nonzero()[:, 0].to(device))
            row, token, going = row[going], token[going], going[going]
        prefix.say(model, token.to(device))
    return answers


def _chosen(logits_BV: Tensor, uniform_B: NDArray[np.float64] | None) -> Tensor:
    """The likeliest token of each row, or the first at which the distribution function exceeds the row's number.

    >>> logits = torch.tensor([[0.0, 0.0, -50.0]]).repeat(3, 1)
    >>> _chosen(logits, np.array([0.0, 0.49, 0.51])).tolist()
    [0, 0, 1]
    """
    if uniform_B is None:
        return logits_BV.argmax(-1).cpu()
    cdf_BV = logits_BV.float().softmax(-1).cpu().double().cumsum(-1)  # on a GPU this sum has no fixed order
    wanted_B1 = torch.from_numpy(uniform_B)[:, None] * cdf_BV[:, -1:]
    return torch.searchsorted(cdf_BV, wanted_B1, right=True)[:, 0].clamp(max=logits_BV.shape[1] - 1)
