"""Bad teaching: on the forget set agree with a network that knows nothing, on the retain set with the original.

Source: Chundawat, Tarun, Mandal, Kankanhalli (2023), arXiv:2205.08096, eq. 2 and 5. Shapes: N answer tokens (a classifier's
rows), V classes. The divergence is a mean over answers: a mean over answers and classes, the default of a popular function,
divides it by V (so in a widely used re-implementation).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._inner import needs_whole_weights
from expunge.approximate._method import Method, Objective
from expunge.approximate._registry import methods
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step


@methods.add
@dataclass(frozen=True, kw_only=True)
class BadTeacher(Method):
    """KL(teacher || student), the teacher being freshly initialised weights for rows of the forget set.

    `retain_share` of the retained rows are used, the same ones throughout, as in the paper (0.3, one epoch, lr 1e-4). The
    bad teacher is a second set of weights, asked once a step. With `modules` these alone are trained; it is new throughout.

    Not guaranteed: that the result looks retrained. A retrained classifier is not near-uniform on the forget set, so
    `zrf` near 1 can give the forget set away.

    Raises: InvalidParameter, with adapters.
    """

    temperature: float = 1.0
    retain_share: float = 0.3

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 < self.retain_share <= 1:
            raise InvalidParameter(f"temperature must be > 0 and retain_share in (0, 1], got {self}")

    def edit(self, work: Work) -> list[float]:
        needs_whole_weights(work, "bad teaching")
        bad = work.fresh(work.seed("bad teacher"))
        draw = torch.Generator().manual_seed(work.seed("bad teacher's retain rows"))
        n = max(1, round(self.retain_share * len(work.retain)))
        rows = [work.retain[i] for i in sorted(torch.randperm(len(work.retain), generator=draw)[:n].tolist())]
        forget = {row.id: row for row in work.forget}

        @torch.no_grad()
        def ignorant(ids: Sequence[str]) -> Tensor:
            found: Tensor = work.side([forget[i] for i in ids], bad).logits_NV
            return found

        return work.descend(_Taught(self, ignorant), name="bad_teacher", retain=rows, guarded=True)


@dataclass(frozen=True)
class _Taught(Objective):
    """The method with what its bad teacher says of rows, named by their ids."""

    method: BadTeacher
    ignorant: Callable[[Sequence[str]], Tensor]
    needs: ClassVar[tuple[Reference, ...]] = (Reference.RETAIN_LOGITS,)

    def __repr__(self) -> str:
        return repr(self.method)

    def loss(self, step: Step) -> Iterator[Tensor]:
        yield divergence(self.ignorant(step.forget.rows), step.forget.logits_NV, self.method.temperature)
        yield divergence(step.retain.reference_logits_NV, step.retain.logits_NV, self.method.temperature)


def divergence(teacher_NV: Tensor, student_NV: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student), nats, summed over classes and averaged over answers."""
    teacher_NV, student_NV = (F.log_softmax(z / temperature, -1) for z in (teacher_NV, student_NV))
    return F.kl_div(student_NV, teacher_NV, reduction="batchmean", log_target=True)


def zrf(unlearned_NV: Tensor, ignorant_NV: Tensor) -> float:
    """Zero retrain forgetting: 1 minus the mean Jensen–Shannon divergence (bits) from a freshly initialised network.

    Source: the same paper, eq. 6. In [0, 1]; 1: the forget set is answered as by a network that was never trained.
    Means: only how ignorant the model *looks*. A retrained model's value is the one to compare with, and it is not 1.

    >>> zrf(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    1.0
    """
    logs = [F.log_softmax(z, -1) for z in (unlearned_NV, ignorant_NV)]
    middle = torch.logaddexp(*logs) - log(2)
    each = [F.kl_div(middle, one, reduction="batchmean", log_target=True) for one in logs]
    return 1 - float(sum(each)) / 2 / log(2)
