"""Task vector negation: learn the forget set better, then go as far in the opposite direction as the rest allows.

Source: Ilharco et al. (2023), arXiv:2212.04089, Sec. 3: theta - lambda (theta_ft - theta).  Units: lambda has none.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from expunge.approximate._inner import needs_whole_weights
from expunge.approximate._likelihood import Likelihood
from expunge.approximate._method import Method
from expunge.approximate._probe import probe
from expunge.approximate._registry import methods
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter

PROBE = 128  # retained rows that lambda is chosen on


@methods.add
@dataclass(frozen=True, kw_only=True)
class TaskVector(Method):
    """Subtract `lambda_` times what fine-tuning on the forget set adds.

    Without a `lambda_`, the largest of `grid` equal steps up to `largest` that keeps the share `keep` of the tokens that
    the model gets right on up to 128 retained rows. With adapters (`lora`) the product B A is negated, by one of its
    factors; negating both would change nothing.

    Not guaranteed: that anything is gone. A vector that points to many things takes retained skill first, so `keep` may
    end it early; a wrecked model resists every attack.

    Raises: InvalidParameter, if no step on the grid keeps that much.
    """

    lambda_: float | None = None
    keep: float = 0.95
    largest: float = 4.0
    grid: int = 80

    def __post_init__(self) -> None:
        if self.grid < 1 or self.largest <= 0 or not 0 < self.keep <= 1:
            raise InvalidParameter(
                f"need grid >= 1, largest > 0 and keep in (0, 1], got {self.grid}, {self.largest}, {self.keep}"
            )

    def edit(self, work: Work) -> list[float]:
        if (
            not work.settings.lora
        ):  # new adapters begin at 0, so that their product is the change itself; given ones do not
            needs_whole_weights(work, "a task vector")
        trained = {name: p for name, p in work.model.named_parameters() if p.requires_grad}
        before = {name: p.detach().clone() for name, p in trained.items()}
        had = work.accuracy(rows := probe(work.retain, PROBE, work.settings.seed))
        losses = work.descend(Likelihood("forget"), name="fine-tuned", retain=())
        tuned = {name: p.detach().clone() for name, p in trained.items()}

        def keeps(lambda_: float) -> bool:
            negate(trained, before, tuned, lambda_)
            return work.accuracy(rows) >= self.keep * had

        steps = [self.largest * k / self.grid for k in range(self.grid, 0, -1)]
        lambda_ = self.lambda_ if self.lambda_ is not None else next(filter(keeps, steps), None)
        if lambda_ is None:
            raise InvalidParameter(
                f"no lambda from {steps[-1]:g} to {steps[0]:g} keeps {self.keep:.0%} of the retained tokens that are right "
                f"({had:.0%}); lower the learning rate or the steps, or name a lambda"
            )
        negate(trained, before, tuned, lambda_)
        work.notes.append(f"lambda = {lambda_:g}")
        return losses


def negate(trained: dict[str, nn.Parameter], before: Any, tuned: Any, lambda_: float) -> None:
    """Set the weights to `before` - lambda (`tuned` - `before`), in place; of adapters, their product to -lambda B A.

    >>> w = nn.Parameter(torch.tensor([9.0]))
    >>> negate({"w": w}, {"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, lambda_=0.5)
    >>> w.data
    tensor([0.])
    """
    with torch.no_grad():
        for name, p in trained.items():
            if ".lora_A." in name:
                p.copy_(tuned[name])
            elif ".lora_B." in name:  # begins at 0, so the change is B A itself
                p.copy_(-lambda_ * tuned[name])
            else:
                p.copy_(before[name] - lambda_ * (tuned[name] - before[name]))
