"""How strong a change a model bears: the largest of a few strengths at which retained rows are still answered."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from expunge.approximate._inner import needs_whole_weights
from expunge.approximate._probe import probe
from expunge.approximate._work import Work
from expunge.core.errors import InvalidParameter

PROBE = 512  # retained rows


def changeable(work: Work) -> dict[str, nn.Parameter]:
    """The weights that may change: those that `settings.modules` names, or all.

    Raises: InvalidParameter, with adapters: there is nothing in them yet to change; or where `modules` names no weight.
    """
    needs_whole_weights(work, "this method")
    named = {name: p for name, p in work.model.named_parameters() if p.requires_grad}
    chosen = {name: p for name, p in named.items() if re.search(work.settings.modules, name)}
    if not chosen:
        raise InvalidParameter(
            f"no weight's name matches modules='{work.settings.modules}'; they are such as '{next(iter(named))}'"
        )
    return chosen


def strongest(
    work: Work, strengths: Sequence[float], change: Callable[[str, Any, float], Any], keep: float
) -> list[float]:
    """Change every trained weight as strongly as leaves `keep` of the share of right answers on retained rows.

    `strengths` ascend; `change(name, weight, strength)` gives a weight's new value from its original one. The model is
    left at the strength chosen, which is noted with what it cost. Returns the forget rows' loss before and after.

    Raises: InvalidParameter, if not even the first strength leaves that much.
    """
    rows = probe(work.retain, PROBE, work.settings.seed)
    before = {n: p.detach().clone() for n, p in changeable(work).items()}
    start, forgotten = work.accuracy(rows), forget_loss(work)
    chosen: tuple[float, float] | None = None
    for strength in strengths:
        _set(work, before, change, strength)
        right = work.accuracy(rows)
        if not right >= keep * start:
            break
        chosen = strength, right
    if chosen is None:
        _set(work, before, lambda _name, weight, _strength: weight, 0.0)
        raise InvalidParameter(
            f"even strength {strengths[0]:g} leaves {right:.0%} of retained answers right, {start:.0%} before; "
            f"lower the strengths, or `keep` ({keep:g}) to accept it"
        )
    _set(work, before, change, chosen[0])
    work.notes.append(
        f"strength {chosen[0]:g} of {strengths[0]:g} to {strengths[-1]:g} chosen: the largest that leaves {keep:.0%} of "
        f"{len(rows)} retained rows' right answers ({start:.1%} before, {chosen[1]:.1%} after)"
    )
    return [forgotten, forget_loss(work)]


@torch.no_grad()
def forget_loss(work: Work) -> float:
    """Mean over forget rows of the loss per answer, nats: what a method without steps of its own gives as its losses."""
    sides = [work.side(work.forget[k : k + 64]) for k in range(0, len(work.forget), 64)]
    return -sum(float(side.logp_N.sum()) for side in sides) / len(work.forget)


def _set(work: Work, before: dict[str, Any], change: Callable[[str, Any, float], Any], strength: float) -> None:
    with torch.no_grad():
        for name, p in changeable(work).items():
            p.copy_(change(name, before[name], strength))
