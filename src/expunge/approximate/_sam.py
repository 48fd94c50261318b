"""Sharpness-aware unlearning: forget at the worst weights near the present ones, so that small changes bring nothing back.

Source: Fan et al. (2025), arXiv:2502.05374, Eq. 5 and 6; Foret et al. (2021), arXiv:2010.01412.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from expunge.approximate._around import Around
from expunge.core.errors import InvalidParameter
from expunge.engine import Step, backward


@dataclass(frozen=True)
class Sam(Around):
    """Any loss method, with the gradient of its first term, the forgetting one, taken at theta + rho * g / |g|.

    g is that term's gradient at theta; the other terms keep theirs. Costs one more pass, forward and back, of the first
    term, and a copy of the trained weights. In the paper rho is 0.01 to 0.1.

    Raises: InvalidParameter, for a method that is more than a loss, or a rho that is not above 0.

    >>> from expunge.approximate.npo import NPO
    >>> Sam(NPO(), rho=0.02).guarantee
    <Guarantee.EMPIRICAL: 'EMPIRICAL'>
    """

    rho: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho <= 0:
            raise InvalidParameter(f"rho must be > 0, got {self.rho}; at 0 it is the method alone")

    def gradient(self, step: Step, model: Any) -> float:
        terms = _terms(self.loss(step))
        value = backward([next(terms)])
        trained = [p for p in model.parameters() if p.grad is not None]
        before = [p.detach().clone() for p in trained]
        _step_up([(p, p.grad) for p in trained if p.grad is not None], self.rho)
        for p in trained:
            p.grad = None
        assert step.again is not None
        backward([next(_terms(self.loss(step.again())))])
        with torch.no_grad():
            for p, was in zip(trained, before, strict=True):
                p.copy_(was)
        return value + backward(terms)


def _terms(loss: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    return iter([loss] if isinstance(loss, Tensor) else loss)


@torch.no_grad()
def _step_up(gradients: list[tuple[Tensor, Tensor]], rho: float) -> None:
    norms = [torch.linalg.vector_norm(g) for _, g in gradients]
    length = torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.tensor(0.0)
    for p, g in gradients if length > 0 else []:
        p.add_(g, alpha=rho / length.item())
