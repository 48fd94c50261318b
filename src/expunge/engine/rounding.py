"""Whether two ways of computing the same numbers agree."""

import torch
from torch import Tensor


def same(found: Tensor, expected: Tensor) -> bool:
    """Equal up to the rounding of the numbers' own precision; never for what is not a number.

    >>> same(torch.tensor([1.0]), torch.tensor([1.0001])), same(torch.tensor([1.0]), torch.tensor([1.1]))
    (True, False)
    """
    if found.shape != expected.shape:
        return False
    close = 1e-3 if expected.dtype in (torch.float32, torch.float64) else 5e-2
    return bool((found - expected).abs().max() <= close * (1 + expected.abs().max()))
