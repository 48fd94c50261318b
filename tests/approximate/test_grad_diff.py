from typing import Any

import pytest
import torch

from expunge.approximate.grad_diff import GradDiff
from expunge.approximate.gradient_ascent import GradientAscent
from expunge.core.errors import InvalidParameter
from expunge.engine import ReferenceCache, Step, collate, encode, mean_nll, step_maker


@pytest.fixture
def step(trained: Any) -> Step:
    forget, retain = encode(trained.tokenizer, trained.forget[:3]), encode(trained.tokenizer, trained.retain[:4])
    return step_maker(trained.model, ReferenceCache(), 2)(forget, retain)


def test_it_is_the_weighted_retain_loss_minus_the_forget_loss(trained: Any, step: Step) -> None:
    with torch.no_grad():
        forget = mean_nll(trained.model, collate(encode(trained.tokenizer, trained.forget[:3]), 2))
        retain = mean_nll(trained.model, collate(encode(trained.tokenizer, trained.retain[:4]), 2))
        torch.testing.assert_close(sum(GradDiff(retain_weight=3.0).loss(step)), 3 * retain - forget)


def test_without_its_retain_term_it_is_gradient_ascent(step: Step) -> None:
    with torch.no_grad():
        difference = sum(GradDiff(retain_weight=1.0).loss(step)) - sum(GradientAscent().loss(step))
        torch.testing.assert_close(difference, step.retain.nll)
    with pytest.raises(InvalidParameter, match="gradient_ascent"):
        GradDiff(retain_weight=0.0)
