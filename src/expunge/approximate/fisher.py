"""Fisher forgetting: noise on each weight, the more the less the retained rows depend on it.

Source: Golatkar, Achille, Soatto (2020), arXiv:1911.04933, Sec. 4: variance alpha / F, with the bounds and the treatment of
the last layer that the authors use in practice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._method import Method
from expunge.approximate._probe import probe
from expunge.approximate._registry import methods
from expunge.approximate._strongest import strongest
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine.row_gradients import mean_over_rows

ALPHAS = tuple(10.0 ** (k / 4) for k in range(-40, -7))


@methods.add
@dataclass(frozen=True, kw_only=True)
class Fisher(Method):
    """theta + N(0, alpha min(1/F, cap)), F the retained rows' Fisher information; no training.

    A weight matrix takes one variance per output unit (the mean over its inputs). The head takes `head_cap` instead of
    `cap`; the head and one-dimensional weights take `boost` times the variance. Where no retained row has a class, its
    row of the head is drawn anew from N(0, `boost` `row_variance`), whatever `alpha` is. `alpha` None: the largest on a
    grid that leaves `keep` of the retained answers right; published values lie between 1e-7 and 3e-6. Passes: one backward
    per row and class; for a language model one per row, of answers drawn from the model itself (same mean, more variance).

    Not guaranteed: the paper's bound in nats, which assumes a quadratic loss.

    Raises: InvalidParameter, if no strength leaves the retained rows answered.
    """

    alpha: float | None = None
    keep: float = 0.9
    cap: float = 1e3
    head_cap: float = 1e2
    boost: float = 10.0
    row_variance: float = 1e-4
    rows: int = 1000  # retained rows that F is a mean over, at most

    def __post_init__(self) -> None:
        bounds = (self.cap, self.head_cap, self.boost, self.row_variance, self.rows)
        if min(bounds) <= 0 or not 0 < self.keep <= 1 or (self.alpha is not None and self.alpha <= 0):
            raise InvalidParameter(f"every bound must be > 0, keep in (0, 1] and alpha > 0 or None, got {self}")

    def edit(self, work: Work) -> list[float]:
        side = work.side(work.retain[:1])
        n_classes, head = side.logits_NV.shape[1], _head(work.model, side.logits_NV.shape[1])
        classes = [] if work.text else sorted({row.y for row in work.forget} - {row.y for row in work.retain})
        root = {name: v.sqrt() for name, v in self._variance(work, head, n_classes).items()}
        noise = _noise(work)

        def change(name: str, weight: Tensor, alpha: float) -> Tensor:
            new: Tensor = weight + alpha**0.5 * root[name] * noise[name]
            if name in head and classes:
                new[classes] = (self.boost * self.row_variance) ** 0.5 * noise[name][classes]
            return new

        alphas = ALPHAS if self.alpha is None else (self.alpha,)
        return strongest(work, alphas, change, self.keep)

    def _variance(self, work: Work, head: frozenset[str], n_classes: int) -> dict[str, Tensor]:
        information = fisher_information(work, probe(work.retain, self.rows, work.settings.seed), n_classes)
        return {name: self.variance(value, name in head) for name, value in information.items()}

    def variance(self, information: Tensor, head: bool) -> Tensor:
        """Of the noise at alpha = 1, one for each output unit of a matrix."""
        value = (1 / information).clamp(max=self.head_cap if head else self.cap)
        if value.dim() > 1:
            value = value.flatten(1).mean(1).reshape(-1, *[1] * (value.dim() - 1)).expand_as(value)
        return self.boost * value if head or value.dim() == 1 else value


def fisher_information(work: Work, rows: Any, n_classes: int) -> dict[str, Tensor]:
    """Mean over rows of the sum over classes of p(y|x) (d log p(y|x) / d theta)^2: the diagonal, not the empirical one."""
    if work.text:
        return mean_over_rows(work.model, work.side, rows, _drawn(work.seed("fisher answers")))
    total: dict[str, Tensor] = {}
    for y in range(n_classes):
        for name, value in mean_over_rows(work.model, work.side, rows, _of_class(y)).items():
            total[name] = total[name] + value if name in total else value
    return total


def _of_class(y: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss whose squared gradient is that of class y's log-probability, times the probability."""

    def loss(logits_NV: Tensor, _labels_N: Tensor) -> Tensor:
        logp_N = F.log_softmax(logits_NV, -1)[:, y]
        return ((logp_N.detach() / 2).exp() * logp_N).sum()

    return loss


def _drawn(seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    draw = torch.Generator().manual_seed(seed)

    def loss(logits_NV: Tensor, _labels_N: Tensor) -> Tensor:
        answer_N = torch.multinomial(logits_NV.detach().softmax(-1).cpu(), 1, generator=draw)[:, 0]
        return F.cross_entropy(logits_NV, answer_N.to(logits_NV.device), reduction="sum")

    return loss


def _noise(work: Work) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(work.seed("fisher noise"))
    named = [(name, p) for name, p in work.model.named_parameters() if p.requires_grad]
    return {name: torch.randn(p.shape, generator=draw).to(p) for name, p in named}


def _head(model: Any, n_classes: int) -> frozenset[str]:
    """The last layer: the last matrix with a row for every class, and its bias."""
    rows = [(name, p.dim()) for name, p in model.named_parameters() if p.shape and p.shape[0] == n_classes]
    matrices = [name for name, dim in rows if dim > 1]
    prefix = matrices[-1].rpartition(".")[0] if matrices else None
    return frozenset(name for name, _ in rows if name.rpartition(".")[0] == prefix)
