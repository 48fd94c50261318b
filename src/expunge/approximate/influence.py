"""Influence unlearning: one Newton step towards the optimum of the retained rows, the curvature being the Fisher's.

Source: Koh, Liang (2017), arXiv:1703.04730, for a set of rows; the inverse as in Singh, Alistarh (2020), WoodFisher,
arXiv:2004.14340; for unlearning Izzo et al. (2021) and Jia et al. (2023), arXiv:2304.04934.
Differs from the last one's program: its recursion keeps one direction and shrinks along that; here the rank-one updates are
carried out exactly, as one solve with the rows' inner products, so that `alpha` 1 is a Newton step (a test compares them).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate._method import Method
from expunge.approximate._registry import methods
from expunge.approximate._strongest import strongest
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter
from expunge.engine.row_gradients import mean_gradient, row_gradients

ALPHAS = tuple(2.0**k for k in range(-12, 11))
NUMBERS = 2**28  # gradients of this many weights, over all rows used, are held at once: 1 GiB


@methods.add
@dataclass(frozen=True, kw_only=True)
class Influence(Method):
    """theta + alpha (F + damping)^-1 v, with v = (1/N) sum_forget grad - |forget| / (N |retain|) sum_retain grad.

    N counts both sets. v is what the mean retained gradient lacks to be zero; at an optimum of all rows it equals
    sum_forget grad / |retain|. F: mean of g g^T over `samples` retained rows, fewer where memory would not do (noted).
    `alpha` None: the largest power of two that leaves `keep` of the retained answers right, noted too.

    Not guaranteed: anything for a network; the step is right to first order for a convex loss at its optimum only.

    Raises: InvalidParameter, if no alpha leaves the retained rows answered.
    """

    alpha: float | None = None
    damping: float = 1e-3
    samples: int = 1000
    keep: float = 0.95

    def __post_init__(self) -> None:
        if self.damping <= 0 or self.samples < 1 or not 0 < self.keep <= 1:
            raise InvalidParameter(f"damping must be > 0, samples >= 1 and keep in (0, 1], got {self}")

    def edit(self, work: Work) -> list[float]:
        forget, retain = (mean_gradient(work.model, work.side, rows, _nll) for rows in (work.forget, work.retain))
        share = len(work.forget) / (len(work.forget) + len(work.retain))
        v = {name: share * (forget[name] - retain[name]) for name in forget}
        direction = inverse_fisher(self._gradients(work), v, self.damping)
        change = lambda name, weight, alpha: weight + alpha * direction[name] if name in direction else weight
        return strongest(work, ALPHAS if self.alpha is None else (self.alpha,), change, self.keep)

    def _gradients(self, work: Work) -> dict[str, Tensor]:
        """Per-row gradients of retained rows drawn without replacement."""
        size = sum(p.numel() for p in work.model.parameters() if p.requires_grad)
        n = min(self.samples, len(work.retain), max(1, NUMBERS // size))
        draw = torch.Generator().manual_seed(work.seed("influence rows"))
        rows = [work.retain[i] for i in torch.randperm(len(work.retain), generator=draw)[:n].tolist()]
        if n < min(self.samples, len(work.retain)):
            work.notes.append(f"curvature from {n} rows: {self.samples} rows' gradients of {size:,} weights do not fit")
        parts = list(row_gradients(work.model, work.side, rows, _nll))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def inverse_fisher(gradients: Mapping[str, Tensor], v: Mapping[str, Tensor], damping: float) -> dict[str, Tensor]:
    """(damping I + mean of g g^T)^-1 v, exactly, by Woodbury's identity; gradients are [n, *shape].

    >>> g = {"w": torch.tensor([[1.0, 0.0]])}
    >>> inverse_fisher(g, {"w": torch.tensor([1.0, 1.0])}, damping=1.0)["w"]
    tensor([0.5000, 1.0000])
    """
    n = len(next(iter(gradients.values())))
    flat = {name: g.flatten(1) for name, g in gradients.items()}
    inner_NN = torch.stack([(g @ g.T).double() for g in flat.values()]).sum(0)
    onto_N = torch.stack([(g @ v[name].flatten()).double() for name, g in flat.items()]).sum(0)
    weights_N = torch.linalg.solve(inner_NN + n * damping * torch.eye(n).to(inner_NN), onto_N)
    return {name: (v[name] - (weights_N.to(g) @ g).reshape(v[name].shape)) / damping for name, g in flat.items()}


def _nll(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    return F.cross_entropy(logits_NV, labels_N)
