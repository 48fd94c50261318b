"""Collapse of Irrelevant Representations: unlearn only along what sets the forget set's tokens apart from one another.

Source: Sondej and Yang (2025), arXiv:2509.11816.  Shapes: M token positions that reach the loss, D features.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from expunge.approximate._method import Objective
from expunge.approximate._registry import methods
from expunge.approximate._retain import hidden_loss
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step, Trunk

_MAPS = (nn.Linear.forward, Conv1D.forward)
_ROUNDS = 8  # of subspace iteration
_PART = 16  # 24 of 4,096 features are common ones; 24 of 64 would be most of what there is to unlearn along


@methods.add
@dataclass(frozen=True, kw_only=True)
class CIR(Objective):
    """Turn block `layer`'s states (a fraction of depth if below 1) away from what they were, by selective gradients.

    The gradient of a linear map is the sum over tokens of output gradient times input. From both, the mean and the first
    principal components over the step's forget rows are taken out before they are multiplied: what all these tokens share
    is general, and stays. `activations` and `gradients` count the components, at most a sixteenth of what there is. Only the
    linear maps of MLPs (`modules`, a regular expression) from half of `layer` up to it are trained.

    Differs from the paper: components are those of each batch, not of an epoch; the loss looks at the block's output, not
    at each MLP's; the step is AdamW's, not plain normalised descent.
    """

    layer: float = 0.4
    activations: int = 24
    gradients: int = 36
    retain_weight: float = 2.0
    modules: str = r"mlp|ffn|feed_forward|fc1|fc2"

    @property
    def needs(self) -> tuple[Reference, ...]:
        return (Reference.FORGET_HIDDEN, *((Reference.RETAIN_HIDDEN,) if self.retain_weight else ()))

    def __post_init__(self) -> None:
        if min(self.layer, self.activations, self.gradients, self.retain_weight) < 0:
            raise InvalidParameter(f"layer, activations, gradients and retain_weight must be >= 0, got {self}")

    def block(self, depth: int) -> int:
        """The block whose output is moved, from 0.

        >>> CIR().block(4), CIR(layer=12).block(32)
        (1, 12)
        """
        return min(depth - 1, int(self.layer if self.layer >= 1 else self.layer * depth))

    def trained_blocks(self, depth: int) -> range:
        return range(self.block(depth) // 2, self.block(depth) + 1)

    def loss(self, step: Step) -> Iterator[Tensor]:
        """The two terms whose gradients are used, the first after the collapse."""
        block = self.block(step.depth)
        yield confusion(step.forget.hidden_ND(block), step.forget.reference_hidden_ND(block))
        if self.retain_weight:
            reference_ND = step.retain.reference_hidden_ND(block)
            yield self.retain_weight * hidden_loss(step.retain.hidden_ND(block), reference_ND)

    def gradient(self, step: Step, model: Any) -> float:
        terms, linears = self.loss(step), self._linears(model)
        with _recorded(linears) as seen:
            forget = next(terms)
        out_gradients = torch.autograd.grad(forget, [out for _, out in seen])
        for linear, (x, _), g in zip(linears, seen, out_gradients, strict=True):
            reached = g.abs().sum(-1) > 0  # not padding, nor what comes after the last answer
            x_MD, g_MD = collapsed(x[reached], self.activations), collapsed(g[reached], self.gradients)
            linear.weight.grad = (g_MD.T @ x_MD if _by_output(linear) else x_MD.T @ g_MD).to(linear.weight)
        value = forget.item()
        for term in terms:
            value += term.item()
            gradients = torch.autograd.grad(term, [linear.weight for linear in linears])
            for linear, grad in zip(linears, gradients, strict=True):
                linear.weight.grad += grad
        return value

    def _linears(self, model: Any) -> list[Any]:
        blocks = Trunk.of(model).blocks
        named = [
            module
            for i in self.trained_blocks(len(blocks))
            for name, module in blocks[i].named_modules()
            if re.search(self.modules, name) and isinstance(getattr(module, "weight", None), nn.Parameter)
        ]
        if not named:
            raise InvalidParameter(
                f"no module with weights in the blocks matches '{self.modules}'; name the MLPs' maps"
            )
        linear = [module for module in named if type(module).forward in _MAPS]
        found = [module for module in linear if module.weight.requires_grad]
        if not found:
            kinds = ", ".join(sorted({type(module).__name__ for module in named}))
            why = "are frozen" if linear else f"are no plain linear maps ({kinds})"
            raise InvalidParameter(
                f"the modules that match '{self.modules}' {why}; CIR takes gradients of such maps apart"
            )
        return found


def _by_output(linear: nn.Module) -> bool:
    """Whether the weight has a row for every output, as torch's; GPT-2's maps have a column."""
    return isinstance(linear, nn.Linear)


def confusion(hidden_ND: Tensor, reference_ND: Tensor) -> Tensor:
    """How much of each original state is left in the present one, in parts of its length, averaged; never below 0.

    >>> confusion(torch.tensor([[2.0, 5.0]]), torch.tensor([[4.0, 0.0]]))
    tensor(0.5000)
    """
    return torch.relu((hidden_ND * reference_ND).sum(-1) / reference_ND.square().sum(-1)).mean()


def collapsed(rows_MD: Tensor, n: int) -> Tensor:
    """Rows without their mean and first `n` principal components, at most a sixteenth of what there is.

    >>> rows = torch.eye(16) + torch.cat([torch.full((8, 16), 9.0), torch.full((8, 16), -9.0)])
    >>> collapsed(rows, 0).abs().max() > 8, collapsed(rows, 1).abs().max() < 1  # of two groups, no difference is left
    (tensor(True), tensor(True))
    """
    centred_MD = rows_MD.float() - rows_MD.float().mean(0)
    n = min(n, min(rows_MD.shape) // _PART)
    if n:
        start_DN = torch.randn(rows_MD.shape[1], n, generator=torch.Generator().manual_seed(0)).to(centred_MD)
        axes_DN = torch.linalg.qr(start_DN).Q
        for _ in range(_ROUNDS):
            axes_DN = torch.linalg.qr(centred_MD.T @ (centred_MD @ axes_DN)).Q
        centred_MD = centred_MD - centred_MD @ axes_DN @ axes_DN.T
    return centred_MD


@contextmanager
def _recorded(linears: list[Any]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Meanwhile what each map reads and says is kept."""
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    handles = [
        linear.register_forward_hook(lambda _m, args, out, i=i: seen.__setitem__(i, (args[0].detach(), out)))
        for i, linear in enumerate(linears)
    ]
    pairs: list[tuple[Tensor, Tensor]] = []
    try:
        yield pairs
    finally:
        for handle in handles:
            handle.remove()
        pairs += [seen[i] for i in sorted(seen)]
