import math
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, logp, moved_blobs, nll

from expunge.approximate.gradient_ascent import GradientAscent
from expunge.approximate.simnpo import SimNPO, simnpo_loss
from expunge.core.errors import InvalidParameter


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_loss_is_the_papers_on_a_mixed_batch(trained: Any, gamma: float) -> None:
    method = SimNPO(beta=2.5, gamma=gamma, retain_weight=3.0)
    moved = Moved(trained, method)
    terms = []
    for row in logp(moved.model, moved.forget):
        margin = 2.5 * -float(row.sum()) / len(row) - gamma
        terms.append(-2 / 2.5 * math.log(1 / (1 + math.exp(-margin))))
    by_hand = sum(terms) / 5 + 3.0 * nll(moved.model, moved.retain)
    assert float(sum(method.loss(moved.step)).detach()) == pytest.approx(by_hand, rel=1e-4)


def test_gamma_stands_outside_of_beta() -> None:
    logp_B, length_B = torch.tensor([-6.0, -2.0]), torch.tensor([3.0, 2.0])
    beta, gamma = 4.5, 1.5
    # Open-unlearning: -2/beta * log sigmoid(beta * (nll/|y| - delta)); the same where delta is gamma / beta.
    theirs = [
        -2 / beta * torch.nn.functional.logsigmoid(beta * (torch.tensor([2.0, 1.0]) - d)).mean()
        for d in (gamma / beta, gamma)
    ]
    torch.testing.assert_close(simnpo_loss(logp_B, length_B, beta, gamma), theirs[0])
    assert not torch.isclose(simnpo_loss(logp_B, length_B, beta, gamma), theirs[1], rtol=0.1)


def test_a_long_answer_weighs_no_more_than_a_short_one() -> None:
    logp_B = torch.tensor([-1.0, -10.0], requires_grad=True)
    loss = simnpo_loss(logp_B, torch.tensor([1.0, 10.0]), beta=2.0)
    (grad_B,) = torch.autograd.grad(loss, logp_B)
    assert grad_B[0].item() == pytest.approx(10 * grad_B[1].item())


def test_it_needs_no_reference_and_runs_each_side_once(trained: Any) -> None:
    assert SimNPO().needs == ()
    moved = Moved(trained, SimNPO())
    for term in SimNPO().loss(moved.step):
        term.backward()
    assert moved.runs == [5, 4]


def test_a_classifier_has_answers_of_length_one(blobs: Any) -> None:
    step, model = moved_blobs(blobs, SimNPO())
    rows = blobs.forget[:7]
    p = model(torch.stack([r.x for r in rows])).softmax(-1)[range(7), [r.y for r in rows]]
    forget, _ = SimNPO(beta=2.0, gamma=0.5).loss(step)
    torch.testing.assert_close(forget, (1 + math.exp(0.5) * p**2).log().mean())


def test_it_becomes_gradient_ascent_as_beta_vanishes(blobs: Any) -> None:
    step, model = moved_blobs(blobs, SimNPO())
    ours = torch.autograd.grad(next(SimNPO(beta=1e-4).loss(step)), model[0].weight)[0]
    step, model = moved_blobs(blobs, SimNPO())
    ascent = torch.autograd.grad(next(iter(GradientAscent().loss(step))), model[0].weight)[0]
    torch.testing.assert_close(ours, ascent, rtol=1e-3, atol=1e-6)


def test_no_overflow() -> None:
    assert simnpo_loss(torch.tensor([-1e-9, -9e4]), torch.ones(2), beta=50.0, gamma=900.0).isfinite()


@pytest.mark.parametrize("beta", [0.0, -0.1])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(InvalidParameter, match="gradient_ascent"):
        SimNPO(beta=beta)
