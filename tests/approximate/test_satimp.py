import math
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, logp, moved_blobs, nll

from expunge.approximate.satimp import SatImp, satimp_loss
from expunge.approximate.wga import wga_loss
from expunge.core.errors import InvalidParameter


def test_the_loss_is_the_published_one_on_a_mixed_batch(trained: Any) -> None:
    method = SatImp(beta1=1.5, beta2=0.5, retain_weight=2.0)
    moved = Moved(trained, method)
    tokens = torch.cat(logp(moved.model, moved.forget)).double().tolist()
    by_hand = sum(math.exp(lp) ** 1.5 * (1 - math.exp(lp)) ** 0.5 * lp for lp in tokens) / len(tokens)
    expected = by_hand + 2.0 * nll(moved.model, moved.retain)
    assert float(sum(method.loss(moved.step)).detach()) == pytest.approx(expected, rel=1e-3)


def test_without_importance_it_is_weighted_gradient_ascent() -> None:
    logp_N = torch.tensor([-0.1, -3.0])
    torch.testing.assert_close(satimp_loss(logp_N, 2.0, 0.0), wga_loss(logp_N, 2.0))


def test_the_weight_is_a_constant_and_largest_at_its_peak() -> None:
    p_N = torch.linspace(0.01, 0.99, 99)
    logp_N = p_N.log().requires_grad_(True)
    (grad_N,) = torch.autograd.grad(satimp_loss(logp_N, 5.0, 1.0), logp_N)
    torch.testing.assert_close(99 * grad_N, p_N**5 * (1 - p_N), rtol=1e-4, atol=1e-7)
    assert p_N[grad_N.argmax()].item() == pytest.approx(5 / 6, abs=0.006)


def test_a_token_known_by_heart_keeps_a_weight_that_is_not_rounded_away() -> None:
    logp_N = torch.tensor([-1e-9], requires_grad=True)
    (grad_N,) = torch.autograd.grad(satimp_loss(logp_N, 5.0, 1.0), logp_N)
    assert grad_N.item() == pytest.approx(1e-9, rel=1e-3)  # 1 - exp(-1e-9) is 0 in float32


def test_no_copy_of_the_model_is_needed(trained: Any) -> None:
    assert SatImp().needs == ()
    moved = Moved(trained, SatImp())
    for term in SatImp().loss(moved.step):
        term.backward()
    assert moved.runs == [5, 4]


def test_a_classifier_weighs_rows_by_the_probability_of_their_class(blobs: Any) -> None:
    step, model = moved_blobs(blobs, SatImp())
    rows = blobs.forget[:7]
    p = model(torch.stack([r.x for r in rows])).softmax(-1)[range(7), [r.y for r in rows]]
    expected = (p**2 * (1 - p) * p.log()).mean()
    torch.testing.assert_close(next(iter(SatImp(beta1=2.0).loss(step))), expected, rtol=1e-3, atol=1e-7)


def test_negative_exponents_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="beta1 and beta2"):
        SatImp(beta2=-1.0)
