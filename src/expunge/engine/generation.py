"""Greedy answers to many questions: grouped by length, padded on the left, in the order given."""

from collections.abc import Sequence
from typing import Any

import torch

from expunge.engine.text import encode_prompt


@torch.no_grad()
def greedy_answers(
    model: Any, tokenizer: Any, questions: Sequence[str], max_new_tokens: int = 32, batch_size: int = 256
) -> list[str]:
    """What the model answers to each question, decoded greedily until its end-of-text token."""
    prompts = [encode_prompt(tokenizer, q) for q in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    device = next(model.parameters()).device
    for k in range(0, len(order), batch_size):
        part = order[k : k + batch_size]
        new_ids = _generate(model, [prompts[i] for i in part], tokenizer, max_new_tokens, device)
        for i, text in zip(part, tokenizer.batch_decode(new_ids, skip_special_tokens=True), strict=True):
            answers[i] = text.strip()
    return answers


def pad_left(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of prompts that all end in the last column, as generation needs them."""
    width = max(len(p) for p in prompts)
    ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p) :] = torch.tensor(p)
        mask[i, width - len(p) :] = 1
    return ids, mask


def pad_id(tokenizer: Any) -> int:
    """An id to fill up rows with; masks never depend on it."""
    for candidate in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    return 0


def _generate(
    model: Any, prompts: Sequence[Sequence[int]], tokenizer: Any, max_new_tokens: int, device: torch.device
) -> torch.Tensor:
    ids, mask = pad_left(prompts, pad_id(tokenizer))
    was_training = model.training
    model.eval()
    out = model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad_id(tokenizer),
    )
    model.train(was_training)
    return torch.as_tensor(out)[:, ids.shape[1] :]
