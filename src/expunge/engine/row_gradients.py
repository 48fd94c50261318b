"""The gradient of each row by itself, and the mean of its square: what a batch's gradient, being a sum, no longer holds.

For a classifier one vectorised pass over a batch (torch.func.vmap); for a language model, and for networks that vmap
cannot follow, row by row. Both give the same numbers (tests/engine/test_row_gradients.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from expunge.engine.arrays import Example, Features, logits_of, stacked

RowLoss = Callable[[Tensor, Tensor], Tensor]  # of one row's logits [N, V] and labels [N]; a number
Side = Callable[[Sequence[Any]], Any]  # rows to what a method sees of them
BUDGET = 2**24  # numbers held at once: rows of a pass times parameters


def row_gradients(model: nn.Module, side: Side, rows: Sequence[Any], loss: RowLoss) -> Iterator[dict[str, Tensor]]:
    """Gradients of `loss` of every row, a few rows at a time: name of a trained parameter to [rows, *its shape].

    `side` gives what the model says of rows (`Work.side`). The model is left as it is, `.grad` included.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    size = max(1, min(128, BUDGET // max(1, sum(p.numel() for p in trained.values()))))
    vectorised = bool(rows) and isinstance(rows[0], Example)
    for k in range(0, len(rows), size):
        part = rows[k : k + size]
        if vectorised:
            try:
                yield _at_once(model, trained, part, loss)
                continue
            except (RuntimeError, NotImplementedError):
                vectorised = False  # a network that branches on its values or changes a buffer
        yield _one_by_one(trained, side, part, loss)


def mean_over_rows(
    model: nn.Module,
    side: Side,
    rows: Sequence[Any],
    loss: RowLoss,
    of: Callable[[Tensor], Tensor] = torch.square,
) -> dict[str, Tensor]:
    """Mean over rows of each row's gradient, squared unless `of` says otherwise: the diagonal of the empirical Fisher.

    >>> from expunge.engine import ArrayReferences, array_step_maker, examples
    >>> line, rows = nn.Linear(1, 1, bias=False), examples(torch.tensor([[1.0], [-1.0]]), [0, 0])
    >>> side = lambda rows: array_step_maker(line, ArrayReferences())((), rows).retain
    >>> mean_over_rows(line, side, rows, lambda logits_NV, _: logits_NV.sum())["weight"]  # the batch's gradient is 0
    tensor([[1.]])
    """
    total: dict[str, Tensor] = {}
    for part in row_gradients(model, side, rows, loss):
        for name, g in part.items():
            found = of(g).sum(0)
            total[name] = total[name] + found if name in total else found
    return {name: value / len(rows) for name, value in total.items()}


def mean_gradient(model: nn.Module, side: Side, rows: Sequence[Any], loss: RowLoss) -> dict[str, Tensor]:
    """Gradient of the mean over rows of `loss`, without the parts."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = [torch.zeros_like(p) for p in trained.values()]
    for k in range(0, len(rows), 64):
        seen, part = side(rows[k : k + 64]), []
        for b in range(len(rows[k : k + 64])):
            mine = seen.row_N == b
            part.append(loss(seen.logits_NV[mine], seen.labels_N[mine]))
        for t, g in zip(total, _gradients(torch.stack(part).sum(), trained), strict=True):
            t += g
    return {name: t / len(rows) for name, t in zip(trained, total, strict=True)}


def _at_once(
    model: nn.Module, trained: Mapping[str, Tensor], rows: Sequence[Example], loss: RowLoss
) -> dict[str, Tensor]:
    device = next(iter(trained.values())).device
    x, y = stacked(rows, device), torch.tensor([row.y for row in rows], device=device)
    weights = {name: p.detach() for name, p in trained.items()}

    def of_row(weights: dict[str, Tensor], x: Features, y: Tensor) -> Tensor:
        one = {name: t[None] for name, t in x.items()} if isinstance(x, Mapping) else x[None]
        call = lambda *args, **named: functional_call(model, weights, args, named)
        return loss(logits_of(call, one), y[None])

    found: dict[str, Tensor] = vmap(grad(of_row), in_dims=(None, 0, 0))(weights, x, y)
    return {name: g.detach() for name, g in found.items()}


def _one_by_one(trained: Mapping[str, Tensor], side: Side, rows: Sequence[Any], loss: RowLoss) -> dict[str, Tensor]:
    each = []
    for row in rows:
        seen = side([row])
        each.append(_gradients(loss(seen.logits_NV, seen.labels_N), trained))
    return {name: torch.stack(gs) for name, gs in zip(trained, zip(*each, strict=True), strict=True)}


def _gradients(value: Tensor, trained: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    found = torch.autograd.grad(value, list(trained.values()), allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for g, p in zip(found, trained.values(), strict=True))
