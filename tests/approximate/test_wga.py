from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, logp, moved_blobs, nll

from expunge.approximate.wga import WGA, wga_loss
from expunge.core.errors import InvalidParameter


def test_the_loss_is_the_published_one_on_a_mixed_batch(trained: Any) -> None:
    method = WGA(beta=2.0, retain_weight=3.0)
    moved = Moved(trained, method)
    tokens = torch.cat(logp(moved.model, moved.forget)).tolist()
    by_hand = sum((2.718281828459045**lp) ** 2.0 * lp for lp in tokens) / len(tokens)
    expected = by_hand + 3.0 * nll(moved.model, moved.retain)
    assert float(sum(method.loss(moved.step)).detach()) == pytest.approx(expected, rel=1e-4)


def test_the_weight_is_a_constant() -> None:
    p_N = torch.tensor([0.9, 0.3, 0.05])
    logp_N = p_N.log().requires_grad_(True)
    (grad_N,) = torch.autograd.grad(wga_loss(logp_N, beta=1.0), logp_N)
    torch.testing.assert_close(grad_N, p_N / 3)
    # Differentiated too, the push would turn round below p = exp(-1 / beta).
    (faulty_N,) = torch.autograd.grad((logp_N.exp() * logp_N).mean(), logp_N)
    assert faulty_N[2] < 0 < grad_N[2]


def test_it_is_gradient_ascent_as_beta_vanishes() -> None:
    logp_N = torch.tensor([-0.1, -3.0])
    torch.testing.assert_close(wga_loss(logp_N, beta=1e-9), logp_N.mean())


def test_no_copy_of_the_model_is_needed(trained: Any) -> None:
    assert WGA().needs == ()
    moved = Moved(trained, WGA())
    for term in WGA().loss(moved.step):
        term.backward()
    assert moved.runs == [5, 4]


def test_a_classifier_weighs_rows_by_the_probability_of_their_class(blobs: Any) -> None:
    step, model = moved_blobs(blobs, WGA())
    rows = blobs.forget[:7]
    p = model(torch.stack([r.x for r in rows])).softmax(-1)[range(7), [r.y for r in rows]]
    torch.testing.assert_close(next(iter(WGA(beta=0.5).loss(step))), (p.sqrt() * p.log()).mean(), rtol=1e-4, atol=1e-6)


def test_beta_must_be_positive() -> None:
    with pytest.raises(InvalidParameter, match="grad_diff"):
        WGA(beta=0.0)
