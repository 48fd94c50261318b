"""SCRUB: a student that leaves its teacher on the forget set and stays with it elsewhere, in alternating phases.

Source: Kurmanji, Triantafillou, Hayes, Triantafillou (2023), arXiv:2302.09880, eq. 3 and algorithm 1; the rewind is Sec. 3.2.
Shapes: N answer tokens (a classifier's rows), V classes. Units: nats per answer, at temperature T.
Differs from the paper: AdamW and the schedule of `Edit`; a budget in steps, which the epochs share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from expunge.approximate._method import Objective
from expunge.approximate._registry import methods
from expunge.approximate._snapshot import Snapshot
from expunge.approximate._work import Work
from expunge.approximate.bad_teacher import divergence
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class SCRUB(Objective):
    """Drive the forget set away from the teacher, then minimise gamma CE + alpha KL on the retain set; again and again.

    The defaults are the paper's for small data; for CIFAR-10 and larger `SCRUB(temperature=4, alpha=0.001, gamma=0.99,
    epochs=3, max_epochs=2)`. In the first `max_epochs` of `epochs` the first half of the steps maximises.

    `holdout`: rows of the forget set's distribution that the model never saw. With them the result is the epoch whose
    share of right answers on the forget set is nearest to its share on these (SCRUB+R: a forget set answered worse than
    strangers gives itself away; the paper takes the last epoch's share). Without them the guard on retained rows rewinds.
    """

    temperature: float = 2.0
    alpha: float = 0.5
    gamma: float = 1.0
    epochs: int = 10
    max_epochs: int = 3
    holdout: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def needs(self) -> tuple[Reference, ...]:
        return (Reference.FORGET_LOGITS, *((Reference.RETAIN_LOGITS,) if self.alpha else ()))

    def __post_init__(self) -> None:
        out_of_range = self.temperature <= 0 or not 1 <= self.max_epochs <= self.epochs
        if out_of_range or min(self.alpha, self.gamma) < 0 or not self.alpha + self.gamma:
            raise InvalidParameter(
                "temperature must be > 0, max_epochs in 1..epochs, alpha and gamma >= 0 and one of them above; "
                f"got {self}"
            )

    def loss(self, step: Step) -> Iterator[Tensor]:
        if self.maximises(step.number, step.total):
            yield -distance(step.forget.reference_logits_NV, step.forget.logits_NV, self.temperature)
            return
        if not self.alpha:
            yield self.gamma * step.retain.nll
            return
        stay = distance(step.retain.reference_logits_NV, step.retain.logits_NV, self.temperature)
        yield self.gamma * step.retain.nll + self.alpha * stay

    def maximises(self, number: int, total: int) -> bool:
        """Whether this step drives the forget set away.

        >>> "".join("+-"[SCRUB(epochs=3, max_epochs=2).maximises(k, 12)] for k in range(12))  # - maximises
        '--++--++++++'
        """
        epoch, within = divmod(number, self.phase(total))
        return epoch < self.max_epochs and within < max(1, self.phase(total) // 2)

    def phase(self, total: int) -> int:
        """Steps of an epoch; two at least, so that what was driven away is followed by what stays.

        A guard looks at the ends of epochs: what the maximising steps take along, the others bring back.
        """
        return max(2, -(-total // self.epochs))

    def edit(self, work: Work) -> list[float]:
        if not self.holdout:
            return work.descend(self, name="scrub", guarded=True)
        rewind = _Rewind(self, work)
        losses = work.descend(rewind, name="scrub")
        rewind.look(work.settings.steps)
        rewind.go_back()
        return losses


def distance(teacher_NV: Tensor, student_NV: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) at a temperature, times its square, which keeps gradients of one size; mean over answers.

    >>> import torch
    >>> distance(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]), 2.0)
    tensor(0.)
    """
    return temperature**2 * divergence(teacher_NV, student_NV, temperature)


class _Rewind(Objective):
    """The method with a look at the end of every epoch; the weights of the best one are kept, in the edit's folder too."""

    def __init__(self, method: SCRUB, work: Work) -> None:
        self.method, self.work, self.holdout = method, work, work.rows(method.holdout)
        self.best = Snapshot(work.store.path("scrub.rewind.safetensors"))  # its label: the gap, and after which step

    def __repr__(self) -> str:
        return f"{self.method!r} rewound by {[row.id for row in self.holdout]}"

    @property
    def needs(self) -> tuple[Reference, ...]:
        return self.method.needs

    def loss(self, step: Step) -> Iterator[Tensor]:
        return self.method.loss(step)

    def gradient(self, step: Step, model: Any) -> float:
        if step.number and step.number % self.method.phase(step.total) == 0:
            self.look(step.number)
        return super().gradient(step, model)

    def look(self, done: int) -> None:
        gap = abs(self.work.accuracy(self.work.forget) - self.work.accuracy(self.holdout))
        best = self.best.label()
        if best is None or gap < float(best.split()[0]):
            self.best.take(dict(self.work.model.named_parameters()), f"{gap} {done}")
            self.best.write()

    def go_back(self) -> None:
        gap, done = (self.best.label() or "").split()
        self.best.restore(dict(self.work.model.named_parameters()))
        self.work.notes.append(
            f"rewound to step {done}: the forget set's share of right answers differs by {float(gap):.1%} from rows never seen"
        )
