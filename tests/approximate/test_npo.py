import math

import pytest
import torch

from expunge.approximate.npo import NPO, npo_loss
from expunge.core.errors import InvalidParameter


def test_becomes_gradient_ascent_as_beta_vanishes() -> None:
    logp_B = torch.tensor([-3.0, -7.0], dtype=torch.float64, requires_grad=True)
    loss = npo_loss(logp_B, torch.tensor([-1.0, -9.0], dtype=torch.float64), beta=1e-7)
    (grad_B,) = torch.autograd.grad(loss, logp_B)
    torch.testing.assert_close(grad_B, torch.full_like(logp_B, 0.5))  # the gradient of logp_B.mean()


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0, 5.0])
def test_at_the_reference_it_starts_as_gradient_ascent_for_any_beta(beta: float) -> None:
    reference_B = torch.tensor([-3.0, -70.0, -0.1], dtype=torch.float64)
    logp_B = reference_B.clone().requires_grad_()
    loss = npo_loss(logp_B, reference_B, beta)
    assert float(loss.detach()) == pytest.approx(2 / beta * math.log(2))
    (grad_B,) = torch.autograd.grad(loss, logp_B)
    torch.testing.assert_close(grad_B, torch.full_like(logp_B, 1 / 3))


def test_it_is_the_published_formula() -> None:
    logp_B = torch.tensor([-2.0, -5.0], dtype=torch.float64)
    reference_B = torch.tensor([-1.0, -8.0], dtype=torch.float64)
    ratios = ((logp_B - reference_B).exp() ** 0.5).tolist()
    by_hand = 2 / 0.5 * sum(math.log(1 + r) for r in ratios) / 2
    assert float(npo_loss(logp_B, reference_B, 0.5)) == pytest.approx(by_hand, rel=1e-12)


def test_the_push_fades_sooner_for_a_larger_beta() -> None:
    pushes = []
    for beta in (0.1, 0.5, 2.0):
        logp_B = torch.tensor([-12.0], requires_grad=True)
        (grad_B,) = torch.autograd.grad(npo_loss(logp_B, torch.tensor([-2.0]), beta), logp_B)
        pushes.append(grad_B.item())
    assert pushes == sorted(pushes, reverse=True)
    assert pushes[-1] < 1e-6


def test_no_overflow_however_much_likelier_the_forget_set_got() -> None:
    logp_B = torch.tensor([-1.0], requires_grad=True)
    loss = npo_loss(logp_B, torch.tensor([-5000.0]), beta=10.0)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, logp_B)[0].item() == pytest.approx(2.0)


@pytest.mark.parametrize("beta", [0.0, -0.1])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(InvalidParameter, match="gradient_ascent"):
        NPO(beta=beta)
