from typing import Any

import torch

from expunge.approximate.gradient_ascent import GradientAscent
from expunge.engine import ReferenceCache, collate, encode, mean_nll, step_maker


def test_it_is_the_training_loss_with_the_sign_turned(trained: Any) -> None:
    forget, retain = encode(trained.tokenizer, trained.forget[:3]), encode(trained.tokenizer, trained.retain[:2])
    step = step_maker(trained.model, ReferenceCache(), 2)(forget, retain)
    with torch.no_grad():
        (loss,) = GradientAscent().loss(step)
        torch.testing.assert_close(loss, -mean_nll(trained.model, collate(forget, 2)))
        # The retain batch was drawn but never run: nothing asked for it.
        assert "logits_NV" not in vars(step.retain)
