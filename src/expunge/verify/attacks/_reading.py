"""What hidden states hold: the states just before given tokens, and where each fact's value starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.engine import Encoded, Trunk, collate, encode, pad_id, value_span
from expunge.verify.attacks._target import CannotRun, Scores, Target


@dataclass(frozen=True)
class ValueStarts:
    """Per fact, the states just before its value's first token, block after block, and that token.

    The model is given the question and the true answer up to the value, so a refusal has no say in it.
    """

    layers: list[Tensor]  # one [N, D] a block
    read_ND: Tensor  # what the vocabulary head reads
    token_N: Tensor


def value_starts(target: Target, facts: Sequence[Fact]) -> ValueStarts:
    """Raises: CannotRun, if a state is not finite."""
    rows, starts = _value_places(target, facts)
    *layers, read_ND = states_before(target, rows, [range(at, at + 1) for at in starts])
    return ValueStarts(layers, read_ND, torch.tensor([row.ids[at] for row, at in zip(rows, starts, strict=True)]))


def value_tokens(target: Target, facts: Sequence[Fact]) -> set[int]:
    """The first tokens of the facts' values."""
    return {row.ids[at] for row, at in zip(*_value_places(target, facts), strict=True)}


def _value_places(target: Target, facts: Sequence[Fact]) -> tuple[list[Encoded], list[int]]:
    """The facts' rows, and where in each its value starts."""
    rows = encode(target.tokenizer, facts)
    starts = [
        row.n_prompt + value_span(target.tokenizer, fact.answer, fact.value, bool(fact.question))[0]
        for row, fact in zip(rows, facts, strict=True)
    ]
    return rows, starts


def states_before(
    target: Target, rows: Sequence[Encoded], wanted: Sequence[range], batch_size: int = 64
) -> list[Tensor]:
    """Per block, and last for the head, the states just before the wanted tokens, [N, D], row after row.

    Raises: CannotRun, if a state is not finite.
    """
    if not rows:
        raise CannotRun("no facts whose states could be read; add retained facts to the probes")
    device = next(target.model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))  # rows of like length pad less
    found: dict[int, list[Tensor]] = {}
    for k in range(0, len(order), batch_size):
        part = order[k : k + batch_size]
        batch = collate([rows[i] for i in part], pad_id(target.tokenizer)).to(device)
        hidden = Trunk.of(target.model).all_states(batch)
        for j, i in enumerate(part):
            columns = torch.tensor([t - 1 for t in wanted[i]], device=device)
            found[i] = [hidden_BTD[j, columns].float().cpu() for hidden_BTD in hidden]
    states = [torch.cat(layer) for layer in zip(*(found[i] for i in range(len(rows))), strict=True)]
    if not all(bool(states_ND.isfinite().all()) for states_ND in states):
        raise CannotRun("the model's hidden states are not finite")
    return states


def evenly(n: int, most: int) -> list[int]:
    """Up to `most` of 0..n-1, evenly spread, the last and, of two or more, the first among them.

    >>> evenly(4, 6), evenly(32, 5)
    ([0, 1, 2, 3], [0, 8, 16, 23, 31])
    """
    if n <= most:
        return list(range(n))
    if most == 1:
        return [n - 1]
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def first_tokens(name: str, logits_NV: Tensor, token_N: Tensor, values: set[int]) -> Scores:
    """Whether each fact's token is the likeliest: of the whole vocabulary, and of the first tokens of all values.

    >>> first_tokens("layer 0", torch.tensor([[9.0, 1.0, 2.0, 0.0]]), torch.tensor([2]), {1, 2})
    {'layer 0': [0.0], 'layer 0, among values': [1.0]}
    """
    candidates = torch.tensor(sorted(values))
    among_N = candidates[logits_NV[:, candidates].argmax(-1)]
    return {
        name: (logits_NV.argmax(-1) == token_N).float().tolist(),
        f"{name}, among values": (among_N == token_N).float().tolist(),
    }
