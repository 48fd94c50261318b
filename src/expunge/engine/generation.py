"""Greedy answers to many questions: each prompt once, grouped by length, rows dropped from the batch as they end."""

from collections.abc import Sequence
from typing import Any

import torch

from expunge.engine.prefix import Prefix, evaluating, pad_left, read, reads_on
from expunge.engine.text import encode_prompt, end_ids

# Settings of a model that change no greedy choice. Any other, such as a repetition penalty, is left to `generate`.
_HARMLESS = (
    {"bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens"}
    | {"do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p"}
    | {"use_cache", "transformers_version", "_from_model_config"}
)
_STILL = 0.85  # rows that ended are dropped once fewer than this share go on: dropping copies the cache


def greedy_answers(
    model: Any, tokenizer: Any, questions: Sequence[str], max_new_tokens: int = 32, batch_size: int = 128
) -> list[str]:
    """What the model answers to each question, decoded greedily until its end-of-text token."""
    prompts = [encode_prompt(tokenizer, q) for q in questions]
    return greedy_texts(model, tokenizer, prompts, max_new_tokens, batch_size)


def greedy_texts(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int = 32, batch_size: int = 128
) -> list[str]:
    """What follows each prompt, given as ids, in the order given; decoded without special tokens and outer spaces.

    The texts are those of transformers' `generate`, except where two tokens are equally likely up to rounding. A model
    that cannot read on from its cache (tried on two of the prompts), or whose own settings change greedy choices, is
    given to `generate` itself.
    """
    wanted = [tuple(p) for p in prompts]
    unique = sorted(set(wanted), key=lambda p: (len(p), p))
    if not unique:
        return []
    spoken: dict[tuple[int, ...], str] = {}
    with evaluating(model):
        direct = _is_plain(model, tokenizer) and reads_on(model, unique, pad_id(tokenizer))
        answer = _greedy if direct else _generate
        for k in range(0, len(unique), batch_size):
            part = unique[k : k + batch_size]
            texts = tokenizer.batch_decode(answer(model, part, tokenizer, max_new_tokens), skip_special_tokens=True)
            spoken.update((prompt, text.strip()) for prompt, text in zip(part, texts, strict=True))
    return [spoken[p] for p in wanted]


def pad_id(tokenizer: Any) -> int:
    """An id to fill up rows with; masks never depend on it."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def _is_plain(model: Any, tokenizer: Any) -> bool:
    """Whether the next token is simply the likeliest one, up to one end-of-text token."""
    settings = getattr(model, "generation_config", None)
    wanted = {name for name, value in settings.to_diff_dict().items() if value} if settings is not None else set()
    return tokenizer.eos_token_id is not None and wanted <= _HARMLESS


def _greedy(model: Any, prompts: Sequence[Sequence[int]], tokenizer: Any, max_new_tokens: int) -> list[list[int]]:
    prefix = read(model, prompts, pad_id(tokenizer))
    device = prefix.mask_BT.device
    spoken = torch.zeros(len(prompts), max_new_tokens, dtype=torch.long, device=device)
    length = torch.full((len(prompts),), max_new_tokens, device=device)
    row = torch.arange(len(prompts), device=device)  # whose answer each row of the batch is
    ended, ending = torch.zeros_like(row, dtype=torch.bool), torch.tensor(end_ids(model, tokenizer), device=device)
    for t in range(max_new_tokens):
        token = prefix.logits_BV.argmax(-1)
        spoken[row, t] = token
        ends = torch.isin(token, ending) & ~ended
        length[row[ends]] = t + 1
        ended |= ends
        if t + 1 == max_new_tokens or ended.all():
            break
        if (going := ~ended).sum() < _STILL * len(row):
            prefix, token, row, ended = _only(prefix, going), token[going], row[going], ended[going]
        prefix.say(model, token)
    return [ids[:n] for ids, n in zip(spoken.tolist(), length.tolist(), strict=True)]


def _only(prefix: Prefix, going_B: torch.Tensor) -> Prefix:
    return prefix.rows(going_B.nonzero()[:, 0])


def _generate(model: Any, prompts: Sequence[Sequence[int]], tokenizer: Any, max_new_tokens: int) -> torch.Tensor:
    ids, mask = pad_left(prompts, pad_id(tokenizer))
    device = next(model.parameters()).device
    out = model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=end_ids(model, tokenizer) or None,
        pad_token_id=pad_id(tokenizer),
    )
    return torch.as_tensor(out)[:, ids.shape[1] :]
