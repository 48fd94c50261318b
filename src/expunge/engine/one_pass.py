"""Everything that teacher forcing can say about many answers, from one forward pass per different answer.

Metrics of unlearning ask the same things of the same rows: how likely each token was, whether the model would have said
it, how its likelihood compares with the others'. Here a row is read once, a question with several answers is read once
for all of them, and only labelled positions reach the vocabulary head. Metrics are then arithmetic on short arrays.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.engine.logprobs import logits_at, token_stats
from expunge.engine.prefix import evaluating, read, same
from expunge.engine.sharding import spread
from expunge.engine.text import Encoded

Row = tuple[tuple[int, ...], tuple[int, ...]]  # ids of a prompt and of an answer to it
Logits = tuple[Tensor, Tensor, Tensor]  # of labelled positions: logits [N, V], labels [N], rows [N]
Way = Callable[[Any, Sequence[Row], int], Iterator[tuple[Sequence[Row], Logits]]]


@dataclass(frozen=True)
class AnswerStats:
    """One answer, token by token, [T] each: log-probability in nats, whether greedy decoding would have said it, and mean
    and standard deviation of log p over the vocabulary at that place, under the model itself."""

    logp_T: NDArray[np.float32]
    greedy_T: NDArray[np.bool_]
    mean_T: NDArray[np.float32]
    std_T: NDArray[np.float32]

    def without_end(self) -> "AnswerStats":
        """The same without the last token: the end of text, where rows were encoded with one."""
        return AnswerStats(self.logp_T[:-1], self.greedy_T[:-1], self.mean_T[:-1], self.std_T[:-1])


def one_pass(
    model: Any, rows: Sequence[Encoded], pad_id: int = 0, budget: int | None = None, shards: int = 1
) -> list[AnswerStats]:
    """Statistics of every row's answer, in the order given; equal rows are read once.

    `budget` is how many tokens a forward pass may hold, padding included. Cutting into passes does not depend on
    `shards`, so any number of processes gives the same bits. Values agree with a plain forward pass of each row up to
    rounding; where a model does not allow a short cut (tried on two of its own rows), it is not taken.
    """
    split: list[Row] = [(r.ids[: r.n_prompt], r.ids[r.n_prompt :]) for r in rows]
    unique = sorted(set(split), key=lambda r: (len(r[0]), r[0], len(r[1]), r[1]))
    if not unique:
        return []
    with evaluating(model):
        budget = budget or _budget(model)
        passes = _planned(unique, budget)
        work = partial(_score, pad_id=pad_id, budget=budget, way=_way(model, unique, pad_id))
        found = {row: stats for done in spread(work, model, passes, shards) for row, stats in done}
    return [found[row] for row in split]


def _budget(model: Any) -> int:
    """Tokens that keep a processor's cache warm or a GPU busy, fewer where their logits would not fit."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    on_cpu = next(model.parameters()).device.type == "cpu"
    return min(2048 if on_cpu else 16384, max(256, 2**28 // vocabulary))


def _planned(rows: Sequence[Row], budget: int) -> list[tuple[Row, ...]]:
    """Rows cut into passes of like lengths; the answers to one question stay together."""
    families = [tuple(family) for _, family in groupby(rows, key=lambda r: r[0])]
    single = sorted((f[0] for f in families if len(f) == 1), key=lambda r: len(r[0]) + len(r[1]))
    several = [f for f in families if len(f) > 1]
    passes = list(_cut(single, budget, lambda r: len(r[0]) + len(r[1])))
    return passes + [sum(p, ()) for p in _cut(several, budget, lambda f: len(f[0][0]))]


def _cut(items: Sequence[Any], budget: int, length: Callable[[Any], int]) -> Iterator[tuple[Any, ...]]:
    """Neighbours together as long as their number times the longest stays within the budget."""
    first, longest = 0, 0
    for i, item in enumerate(items):
        longest = max(longest, length(item))
        if i > first and (i - first + 1) * longest > budget:
            yield tuple(items[first:i])
            first, longest = i, length(item)
    if items:
        yield tuple(items[first:])


def _score(
    model: Any, passes: Sequence[tuple[Row, ...]], pad_id: int, budget: int, way: Way
) -> list[list[tuple[Row, AnswerStats]]]:
    with evaluating(model):
        return [
            [pair for rows, logits in way(model, rows_of_pass, pad_id, budget) for pair in _stats(rows, logits)]
            for rows_of_pass in passes
        ]
