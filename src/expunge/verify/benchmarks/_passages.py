"""Passages of plain text: what a model says of each, how it continues one, and what it answers to a prompt."""

from collections.abc import Sequence
from typing import Any

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.engine import encode, encode_prompt, greedy_texts
from expunge.verify.battery import Arm


def passages(arm: Arm, texts: Sequence[str]) -> list[Fact]:
    """Texts as facts without a question; they are read from the start of text.

    Raises: InvalidData, for texts that do not fit into the model's context: nothing is cut silently.
    """
    facts = [Fact(f"text-{n}", "", "", text) for n, text in enumerate(texts, start=1)]
    encode(arm.tokenizer, facts, max_length=_context(arm))
    return facts


def continued(arm: Arm, prefixes: Sequence[str], max_new_tokens: int) -> list[str]:
    """Greedy continuations of plain text, never wrapped in a chat."""
    start = encode_prompt(arm.tokenizer, "")
    ids = [[*start, *arm.tokenizer(text, add_special_tokens=False).input_ids] for text in prefixes]
    return _generated(arm, ids, max_new_tokens)


def answered(arm: Arm, prompts: Sequence[str], cue: str, max_new_tokens: int) -> list[str]:
    """Greedy answers; `cue` ("Answer:") stands at the start of the model's turn, after a chat template's own words."""
    cue_ids = list(arm.tokenizer(cue, add_special_tokens=False).input_ids) if cue else []
    if getattr(arm.tokenizer, "chat_template", None):
        return _generated(arm, [[*encode_prompt(arm.tokenizer, p), *cue_ids] for p in prompts], max_new_tokens)
    return _generated(arm, [encode_prompt(arm.tokenizer, p + cue) for p in prompts], max_new_tokens)


def cut(text: str, stops: Sequence[str]) -> str:
    """What stands before the first of these.

    >>> cut("In Brimford. Question: who?", ["Question:"])
    'In Brimford.'
    """
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))].strip()


def first_tokens(tokenizer: Any, text: str, n: int) -> str:
    """The words of a text's first `n` tokens."""
    ids = tokenizer(text, add_special_tokens=False).input_ids[:n]
    return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()


def _context(arm: Arm) -> int:
    return getattr(arm.model.config, "max_position_embeddings", None) or 10**9


def _generated(arm: Arm, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    """What the model says after each prompt, in the order given.

    Raises: InvalidData, where a prompt and its continuation do not fit into the model's context.
    """
    room = _context(arm)
    if long := [len(p) for p in prompts if len(p) + max_new_tokens > room]:
        raise InvalidData(
            f"{len(long)} of {len(prompts)} prompts do not fit: the longest has {max(long)} tokens and {max_new_tokens} are "
            f"to follow, the model reads {room}; shorten them, nothing is cut silently"
        )
    return greedy_texts(arm.model, arm.tokenizer, prompts, max_new_tokens)
