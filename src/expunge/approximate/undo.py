"""UNDO: unlearn, disturb the weights that hid it, and distil what is kept into them.

Source: Lee et al. (2025), arXiv:2506.06278, Sec. 3 (unlearn - noise - distil on outputs).
Shapes: N answer tokens, V words (classes).  Units: nats.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from expunge.approximate._inner import needs_every_weight, run_inner
from expunge.approximate._method import Method, Objective
from expunge.approximate._registry import methods
from expunge.approximate._retain import kl_loss
from expunge.approximate._work import Work
from expunge.approximate.retrain import steps_of
from expunge.approximate.rmu import RMU
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step, derived_seed

Init = Literal["fresh", "xavier"]


@methods.add
@dataclass(frozen=True, kw_only=True)
class Undo(Method):
    """`inner` makes a teacher; (1 - alpha) of its weights + alpha beta new ones make a student, taught on retained rows.

    New weights ("fresh") are as the architecture begins; "xavier", as published, draws matrices and takes 0 for vectors.
    A larger `alpha` removes more and costs more `epochs` to repair: at 0 nothing is disturbed, at 1 it is retraining from
    another's answers. The published setting for 8 billion parameters is xavier, beta 0.1; `lr` is that of the repair.

    Not guaranteed: a mild `alpha` can be worse than its own teacher, since what was only hidden returns as the student is
    repaired (measured at 0.3). Attack every alpha anew.

    Raises: InvalidParameter, with adapters or `modules`: every weight is disturbed and must be repaired.
    """

    inner: Method = field(default_factory=RMU)
    alpha: float = 0.6
    beta: float = 1.0
    init: Init = "fresh"
    epochs: float = 12.0
    lr: float = 2.5e-3

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or self.beta < 0 or self.epochs <= 0:
            raise InvalidParameter(
                f"need alpha in [0, 1], beta >= 0 and epochs > 0, got {self.alpha}, {self.beta}, {self.epochs}"
            )

    def edit(self, work: Work) -> list[float]:
        needs_every_weight(work, "undo")
        losses = run_inner(work, self.inner, "teacher")
        repair = Repair(self.alpha, self.beta, self.init, work)
        steps = steps_of(work, self.epochs)
        how: Any = {"steps": steps, "lr": self.lr, "shape": "cosine", "anew": True}
        return losses + work.descend(repair, name="student", forget=(), **how)


@dataclass(frozen=True)
class Repair(Objective):
    """A student that begins as its disturbed teacher and learns the teacher's answers.

    The disturbance falls at the first step: the teacher's answers have been kept by then, so that one model is enough.
    """

    alpha: float
    beta: float
    init: Init
    work: Work = field(repr=False)
    needs: ClassVar[tuple[Reference, ...]] = (Reference.RETAIN_LOGITS,)

    def gradient(self, step: Step, model: Any) -> float:
        if step.number == 0:
            seed = derived_seed(b"expunge/undo/v1", self.work.settings.seed)
            disturb(model, self.work.fresh(seed), self.alpha, self.beta, self.init, seed)
        return super().gradient(step, model)

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield kl_loss(step.retain.logits_NV, step.retain.reference_logits_NV)


def disturb(model: nn.Module, fresh: nn.Module, alpha: float, beta: float, init: Init, seed: int) -> None:
    """theta <- (1 - alpha) theta + alpha beta N, in place; N is `fresh`, or Xavier for matrices and 0 for vectors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p, new in zip(model.parameters(), fresh.parameters(), strict=True):
            noise = new.detach() if init == "fresh" else _xavier(p.shape, generator).to(p)
            p.mul_(1 - alpha).add_(noise, alpha=alpha * beta)


def _xavier(shape: torch.Size, generator: torch.Generator) -> Tensor:
    drawn = torch.zeros(shape)
    return nn.init.xavier_normal_(drawn, generator=generator) if drawn.ndim > 1 else drawn
