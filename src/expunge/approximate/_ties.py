"""TIES: merge several changes of the same weights without letting them cancel each other.

Source: Yadav, Tam, Choshen, Raffel, Bansal (2023), arXiv:2306.01708, Sec. 3.  Shapes: K changes of P weights each.
"""

import math

import torch
from torch import Tensor


def ties(change_KP: Tensor, share: float) -> Tensor:
    """Trim each change, elect a sign for every weight, average the changes that have it.

    >>> ties(torch.tensor([[4.0, -1.0, 0.5], [2.0, 3.0, -0.1]]), share=2 / 3)  # 0.5 and -0.1 are trimmed
    tensor([3., 3., 0.])
    """
    trimmed_KP = torch.stack([trim(one_P, share) for one_P in change_KP])
    return mean_of_agreeing(trimmed_KP, elect(trimmed_KP))


def trim(change_P: Tensor, share: float) -> Tensor:
    """The largest `share` of the entries by size, at least one; the others 0. Of equal ones the first are kept.

    >>> trim(torch.tensor([0.1, -3.0, 2.0, 0.0]), share=0.5)
    tensor([ 0., -3.,  2.,  0.])
    """
    n = max(1, math.floor(share * len(change_P) + 0.5))
    largest = change_P.abs().argsort(descending=True, stable=True)[:n]
    return torch.zeros_like(change_P).index_copy(0, largest, change_P[largest])


def elect(change_KP: Tensor) -> Tensor:
    """The sign of each weight's sum: that of the larger total movement. 0 where both directions weigh the same.

    >>> elect(torch.tensor([[2.0, -1.0, 0.0], [-1.0, -1.0, 0.0]]))
    tensor([ 1., -1.,  0.])
    """
    return change_KP.sum(0).sign()


def mean_of_agreeing(change_KP: Tensor, sign_P: Tensor) -> Tensor:
    """Mean over the entries that have the elected sign; entries of 0 have none, and do not dilute it.

    >>> mean_of_agreeing(torch.tensor([[2.0, 5.0], [4.0, -1.0], [0.0, 0.0]]), torch.tensor([1.0, -1.0]))
    tensor([ 3., -1.])
    """
    agrees_KP = (change_KP.sign() == sign_P) & (sign_P != 0)
    return (change_KP * agrees_KP).sum(0) / agrees_KP.sum(0).clamp(min=1)
