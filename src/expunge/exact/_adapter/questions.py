"""The part of a prompt that is asked, and how likely a model finds its tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from expunge.engine import Encoded, one_pass, pad_id
from expunge.engine.text import question_part

Asked = tuple[list[int], list[float]]  # a question's token ids, and the log-probability of each, nats


@torch.no_grad()
def read_questions(model: Any, tokenizer: Any, ids_BT: Tensor, mask_BT: Tensor) -> list[Asked]:
    """The question of every left-padded prompt as the model reads it: the first token of all has a likelihood of 1.

    What a chat template writes around every question tells nobody apart, and a long system message would weigh more than
    any name; it is read, and not counted. Only a question's own positions reach the vocabulary.
    """
    prompts = [ids_T[mask_T.bool()].tolist() for ids_T, mask_T in zip(ids_BT, mask_BT, strict=True)]
    places = [question_part(tokenizer, ids) for ids in prompts]
    rows = [Encoded("", tuple(ids[:end]), max(1, start)) for ids, (start, end) in zip(prompts, places, strict=True)]
    stats = iter(one_pass(model, [row for row in rows if _foretold(row)], pad_id(tokenizer)))
    read = []
    for row, (start, end) in zip(rows, places, strict=True):
        logp = next(stats).logp_T.tolist() if _foretold(row) else []
        read.append((list(row.ids[start:end]), logp if start else [0.0, *logp]))
    return read


def mean_nll(asked: Sequence[Asked]) -> list[float]:
    """Mean nats per token that is foretold by another."""
    return [-sum(logp) / max(1, len(logp)) for _, logp in asked]


def _foretold(row: Encoded) -> bool:
    return len(row.ids) > row.n_prompt
