"""Let a target go on from token ids, and say where it cannot."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter
from expunge.engine import encode_prompt
from expunge.engine.prefix import evaluating
from expunge.engine.sampling import spoken
from expunge.verify.attacks._target import CannotRun, Target


def speak(
    target: Target, prompts: Sequence[Sequence[int]], n_new: int, uniform_RT: NDArray[np.float64] | None = None
) -> list[list[int]]:
    """Up to `n_new` tokens after each prompt, drawn with the given numbers or the likeliest ones: see `spoken`.

    Raises: CannotRun, where the model keeps no cache that it can read on from, or its logits are not numbers.
    """
    try:
        return spoken(target.model, target.tokenizer, prompts, n_new, uniform_RT)
    except InvalidParameter as cause:
        raise CannotRun(str(cause)) from cause


def check_numbers(target: Target, question: str) -> None:
    """Raises: CannotRun, if the model's logits are not finite: what it says then means nothing, and looks forgotten."""
    ids = torch.tensor([encode_prompt(target.tokenizer, question)], device=next(target.model.parameters()).device)
    with evaluating(target.model):
        if not target.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all():
            raise CannotRun("the model's logits are not finite")


def check_room(target: Target, n_tokens: int) -> None:
    """Raises: CannotRun, if so many tokens do not fit the model's context."""
    room = getattr(target.model.config, "max_position_embeddings", None)
    if room and n_tokens > room:
        raise CannotRun(f"the longest prompt takes {n_tokens} tokens with its answer; the model has room for {room}")
