"""Everything that teacher forcing can say about many answers, from one forward pass per different answer.

Metrics of unlearning ask the same things of the same rows: how likely each token was, whether the model would have said
it, how its likelihood compares with the others'. Here a row is read once, a question with several answers is read once
for all of them, and only labelled positions reach the vocabulary head. Metrics are then arithmetic on short arrays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expunge.core.errors import InvalidData
from expunge.engine.batches import IGNORE, collate
from expunge.engine.logprobs import answer_logits, token_stats
from expunge.engine.prefix import evaluating, read
from expunge.engine.rounding import same
from expunge.engine.sharding import spread
from expunge.engine.text import Encoded
from expunge.engine.trunk import REFUSALS, Trunk

_WORTH = 0.1  # saved tokens, as a share, for which a cache is worth its copies: a start of text alone is not
Rows = Sequence[Encoded]
Logits = tuple[Tensor, Tensor, Tensor]  # logits [N, V], labels [N] and rows [N] of labelled positions
Way = Callable[[Any, Rows, int, int], Iterator[tuple[Rows, list[Logits]]]]
Pass = tuple[Way, Rows]


@dataclass(frozen=True)
class AnswerStats:
    """One answer, token by token, [T] each, nats.

    `logp_T`: log-probability; `greedy_T`: whether greedy decoding would have said it; `mean_T` and `std_T`: of log p over
    the vocabulary at that place, under the model itself.
    """

    logp_T: NDArray[np.float32]
    greedy_T: NDArray[np.bool_]
    mean_T: NDArray[np.float32]
    std_T: NDArray[np.float32]

    def without_end(self) -> "AnswerStats":
        """All but the last token, which is the end of text where rows were encoded with one."""
        return AnswerStats(self.logp_T[:-1], self.greedy_T[:-1], self.mean_T[:-1], self.std_T[:-1])


def one_pass(model: Any, rows: Rows, pad_id: int = 0, budget: int | None = None, shards: int = 1) -> list[AnswerStats]:
    """Statistics of every row's answer, in the order given; equal rows are read once.

    `budget` is how many tokens a forward pass may hold, padding included. What a pass holds does not depend on `shards`,
    so any number of processes gives the same bits. Values are those of a plain forward pass of each row up to rounding;
    where a model does not allow a short cut (tried on three of the rows), it is not taken.

    Raises: InvalidData, for a row without a prompt or without an answer.
    """
    if short := sum(not 0 < r.n_prompt < len(r.ids) for r in rows):
        raise InvalidData(f"{short} of {len(rows)} rows have no prompt or no answer; teacher forcing needs both")
    if not rows:
        return []
    unique = {(r.ids, r.n_prompt): r for r in rows}
    found: dict[tuple[tuple[int, ...], int], AnswerStats] = {}
    with evaluating(model):
        budget = budget or _budget(model)
        passes = _planned(list(unique.values()), budget, *_ways(model, list(unique.values()), pad_id, budget))
        for pass_rows, stats in spread(partial(_score, pad_id=pad_id, budget=budget), model, passes, shards):
            found.update(zip(((r.ids, r.n_prompt) for r in pass_rows), stats, strict=True))
    return [found[r.ids, r.n_prompt] for r in rows]


def _budget(model: Any) -> int:
    """Tokens that keep a processor's cache warm or a GPU busy; fewer where their logits would not fit."""
    trunk = Trunk.of(model)
    return min(2048 if trunk.device.type == "cpu" else 16384, max(256, 2**28 // trunk.vocabulary))


def _planned(rows: Rows, budget: int, alone: Way, together: Way | None) -> list[Pass]:
    """Rows cut into passes of like lengths; where it is worth it, the answers to one question go together."""
    ordered = sorted(rows, key=lambda r: (r.n_prompt, r.ids))
    families = [list(family) for _, family in groupby(ordered, key=_prompt)]
    shared = [together is not None and _saved(family) >= _WORTH for family in families]
    single = [r for family, is_shared in zip(families, shared, strict=True) if not is_shared for r in family]
    single.sort(key=lambda r: (len(r.ids), r.ids))
    passes: list[Pass] = [(alone, part) for part in _cut(single, budget, lambda r: len(r.ids))]
    if together:
        several = [family for family, is_shared in zip(families, shared, strict=True) if is_shared]
        parts = _cut(several, budget, lambda family: family[0].n_prompt)
        passes += [(together, [r for family in part for r in family]) for part in parts]
    return passes


def _saved(family: Rows) -> float:
    """Share of the tokens of rows with one prompt that need not be read where it is read once."""
    return (len(family) - 1) * family[0].n_prompt / sum(len(r.ids) for r in family)


def _cut(items: Sequence[Any], budget: int, length: Callable[[Any], int]) -> Iterator[Sequence[Any]]:
    """Neighbours together, as long as their number times the longest stays within the budget."""
    first, longest = 0, 0
    for i, item in enumerate(items):
        longest = max(longest, length(item))
        if i > first and (i - first + 1) * longest > budget:
            yield items[first:i]
            first, longest = i, length(item)
    if items:
        yield items[first:]


def _prompt(row: Encoded) -> tuple[int, ...]:
    return row.ids[: row.n_prompt]


def _score(model: Any, passes: Iterable[Pass], pad_id: int, budget: int) -> list[tuple[Rows, list[AnswerStats]]]:
    with evaluating(model):
        read = (part for way, rows in passes for part in way(model, rows, pad_id, budget))
        return [(rows, _stats(len(rows), logits)) for rows, logits in read]


def _stats(n_rows: int, parts: list[Logits]) -> list[AnswerStats]:
    """Reduce logits and deal the tokens out to their rows; of two parts, the first holds earlier tokens."""
    columns = zip(*(token_stats(logits, labels) for logits, labels, _ in parts), strict=True)
    row_N = torch.cat([row for _, _, row in parts]).cpu().numpy()
    order, ends = np.argsort(row_N, kind="stable"), np.cumsum(np.bincount(row_N, minlength=n_rows))[:-1]
    dealt = [np.split(torch.cat(column).cpu().numpy()[order], ends) for column in columns]
    return [AnswerStats(*row) for row in zip(*dealt, strict=True)]


# The ways of reading rows, from the one that any causal model allows to the one that does least.


def _whole(model: Any, rows: Rows, pad_id: int, _budget: int) -> Iterator[tuple[Rows, list[Logits]]]:
    """Each row whole, all its positions through the vocabulary head."""
    yield rows, [answer_logits(model, collate(rows, pad_id).to(_device(model)))]


def _labelled(model: Any, rows: Rows, pad_id: int, _budget: int) -> Iterator[tuple[Rows, list[Logits]]]:
    """Each row whole, its labelled positions alone through the head."""
    batch = collate(rows, pad_id).to(_device(model))
    row, at = batch.predicts
    inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, "use_cache": False}
    yield rows, [(Trunk.of(model).logits_at(row, at, **inputs), batch.labels_BT[row, at + 1], row)]


def _shared(model: Any, rows: Rows, pad_id: int, budget: int) -> Iterator[tuple[Rows, list[Logits]]]:
    """Each prompt once; its answers read on from the cache."""
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(map(_prompt, rows)))}
    asked, device = read(model, list(prompts), pad_id), _device(model)
    by_length = sorted(rows, key=lambda r: len(r.ids) - r.n_prompt)
    for some in _cut(by_length, budget, lambda r: len(r.ids) - r.n_prompt):
        prefix = asked.rows(torch.tensor([prompts[_prompt(r)] for r in some], device=device))
        answers = collate([Encoded(r.id, r.ids[r.n_prompt :], 0) for r in some], pad_id).to(device)
        parts = [(prefix.logits_BV, answers.ids_BT[:, 0], torch.arange(len(some), device=device))]
        row, at = (answers.labels_BT[:, 1:] != IGNORE).nonzero(as_tuple=True)
        if len(row):
            logits = prefix.read(model, answers.ids_BT[:, :-1], answers.mask_BT[:, :-1], row, at)
            parts.append((logits, answers.labels_BT[:, 1:][row, at], row))
        yield some, parts


def _ways(model: Any, rows: Rows, pad_id: int, budget: int) -> tuple[Way, Way | None]:
    """How to read a row alone, and, where it gives the same, several answers to one question; tried on three of the rows."""
    some = _sample(rows)
    expected = _logp(model, some, _whole, pad_id, budget)

    def agrees(way: Way) -> bool:
        try:
            return same(_logp(model, some, way, pad_id, budget), expected)
        except REFUSALS:
            return False

    families = len({_prompt(r) for r in rows}) < len(rows)
    return _labelled if agrees(_labelled) else _whole, _shared if families and agrees(_shared) else None


def _sample(rows: Rows) -> Rows:
    """The shortest two answers to one question, where there are any, and a row with another length of prompt."""
    ordered = sorted(rows, key=lambda r: (len(r.ids), r.ids))
    seen: dict[tuple[int, ...], Encoded] = {}
    pair = next(([seen[_prompt(r)], r] for r in ordered if seen.setdefault(_prompt(r), r) is not r), ordered[:2])
    other = (r for r in ordered if r.n_prompt != pair[0].n_prompt)
    return [*pair, *([third] if (third := next(other, None)) else [])]


def _logp(model: Any, rows: Rows, way: Way, pad_id: int, budget: int) -> Tensor:
    read = _score(model, [(way, rows)], pad_id, budget)
    found = {r.ids: s for some, stats in read for r, s in zip(some, stats, strict=True)}
    return torch.from_numpy(np.concatenate([found[r.ids].logp_T for r in rows]))


def _device(model: Any) -> torch.device:
    return torch.device(next(model.parameters()).device)
