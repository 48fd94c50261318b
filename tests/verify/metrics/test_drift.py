import math

import pytest
import torch

from expunge.verify.metrics.drift import kl_divergence, linear_cka, relative_l2


def test_distance_is_relative_to_the_old_weights() -> None:
    old = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert relative_l2(old, old) == 0.0
    assert relative_l2(2 * old, old) == pytest.approx(1.0)
    assert relative_l2(old + torch.tensor([[0.0, 3.0], [4.0, 0.0]]), old) == pytest.approx(1.0)


def test_cka_is_the_centred_alignment_of_the_two_gram_matrices() -> None:
    """Kornblith et al., Eq. 3 and 4, through N x N matrices instead of D x D ones."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    b = a @ torch.randn(5, 7, generator=generator, dtype=torch.float64) + torch.randn(40, 7, generator=generator)
    centre = torch.eye(40, dtype=torch.float64) - 1 / 40
    k, m = centre @ a @ a.T @ centre, centre @ b @ b.T @ centre
    by_gram = (k * m).sum() / (k.norm() * m.norm())
    assert linear_cka(a, b) == pytest.approx(float(by_gram))


def test_cka_sees_through_rotation_scale_and_shift_but_not_through_strangers() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(400, 6, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    assert linear_cka(a, 3 * a @ turn + 5) == pytest.approx(1.0)
    assert linear_cka(a, torch.randn(400, 6, generator=generator)) < 0.1
    assert math.isnan(linear_cka(a, torch.ones(400, 2)))


def test_divergence_is_that_of_torch_and_has_a_direction() -> None:
    generator = torch.Generator().manual_seed(2)
    new, old = (torch.randn(4, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    p, q = torch.distributions.Categorical(logits=new), torch.distributions.Categorical(logits=old)
    torch.testing.assert_close(kl_divergence(new, old), torch.distributions.kl_divergence(p, q))
    assert not torch.allclose(kl_divergence(new, old), kl_divergence(old, new))
