"""Retraining that stops at a share of its cost: the honest baseline. What beats it has found something."""

from dataclasses import dataclass

from expunge.approximate._method import Method
from expunge.approximate._registry import methods
from expunge.approximate._settings import Shape
from expunge.approximate._work import Work
from expunge.approximate.retrain import check_epochs, steps_of, train_anew
from expunge.core.errors import InvalidParameter


@methods.add
@dataclass(frozen=True, kw_only=True)
class RetrainAtBudget(Method):
    """`retrain` with `share` of its steps; the learning rate's schedule ends where the steps do.

    Nothing that was forgotten can come back from it; the price is what it has not learned yet. A method that costs as much
    and keeps less is no use.

    Raises: InvalidParameter, with adapters or `modules`, as `retrain`.
    """

    share: float = 0.5
    epochs: float | None = None
    lr: float | None = None
    shape: Shape = "cosine"

    def __post_init__(self) -> None:
        check_epochs(self.epochs)
        if not 0 < self.share <= 1:
            raise InvalidParameter(f"share must be in (0, 1], got {self.share}; at 1 it is 'retrain'")

    def edit(self, work: Work) -> list[float]:
        steps = max(1, round(self.share * steps_of(work, self.epochs)))
        return train_anew(work, steps, self.lr, self.shape)
