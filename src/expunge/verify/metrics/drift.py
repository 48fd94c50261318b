"""How far a model has moved from another: in its weights, in its hidden states, in its predictions."""

import torch
from torch import Tensor


def relative_l2(new: Tensor, old: Tensor) -> float:
    """‖new - old‖ / ‖old‖ over all numbers: 0, the same weights; about 1.4, unrelated ones of the same size.

    >>> relative_l2(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0])) == 4 / 3
    True
    """
    old_64 = old.double()
    return float((new.double() - old_64).norm() / old_64.norm())


def linear_cka(a_ND: Tensor, b_NE: Tensor) -> float:
    """Similarity of two representations of the same N rows, whatever rotation or scale lies between them.

    Source: Kornblith et al. (2019), arXiv:1905.00414, Eq. 4: ‖B'A‖² / (‖A'A‖ ‖B'B‖), Frobenius norms, columns centred.
    Means: 1, equal up to rotation and scale. With N not well above D and E it is biased upwards (of unrelated rows too),
    so read it beside another pair of models on the same rows. Not a number where a representation is constant.

    >>> a = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> round(linear_cka(a, 5 * a.flip(1)), 6)
    1.0
    """
    a, b = a_ND.double() - a_ND.double().mean(0), b_NE.double() - b_NE.double().mean(0)
    return float((b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm()))


def kl_divergence(new_NV: Tensor, old_NV: Tensor) -> Tensor:
    """KL(new ‖ old) of the next token at each position, [N], from logits. Unit: nats.

    >>> kl_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([0.])
    """
    new, old = torch.log_softmax(new_NV, dim=-1), torch.log_softmax(old_NV, dim=-1)
    return (new.exp() * (new - old)).sum(-1)
