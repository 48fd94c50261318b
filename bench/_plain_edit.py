"""Unlearning as the usual framework does it, and the same with one trick after the other: what each is worth.

Plain: a frozen second model is run at every step, logits of all positions in float32, the model's own loss computed beside
ours, all terms in one graph, rows padded, gradients of all weights below the loss though three blocks be trained. The
formulas are those of the papers, so the losses agree with the engine's.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from expunge.approximate.rmu import random_direction
from expunge.engine import IGNORE, Batch, Trunk


@dataclass
class Plain:
    """Two models and what is saved of the second one; `tricks` are those that are used."""

    model: Any
    tricks: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.frozen = copy.deepcopy(self.model).requires_grad_(False)
        self._known: dict[tuple[Any, ...], Tensor] = {}

    def nll_B(self, model: Any, batch: Batch) -> Tensor:
        """Summed negative log-likelihood of each row's answer."""
        if "answers only" in self.tricks:
            from expunge.engine import sequence_logp

            return -sequence_logp(model, batch)
        said = self._said(model, batch)
        logits = said[:, :-1].float()
        flat = F.cross_entropy(logits.transpose(1, 2), batch.labels_BT[:, 1:], ignore_index=IGNORE, reduction="none")
        return flat.sum(1)

    def mean_nll(self, batch: Batch) -> Tensor:
        """The model's own loss, as its `labels` give it."""
        if "answers only" in self.tricks:
            from expunge.engine import mean_nll

            return mean_nll(self.model, batch)
        return torch.as_tensor(self._loss(self.model, batch))

    def _said(self, model: Any, batch: Batch) -> Tensor:
        """All logits; labels are passed along, so the model computes its own loss as well."""
        inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, "use_cache": False}
        return torch.as_tensor(model(**inputs, labels=batch.labels_BT).logits)

    def _loss(self, model: Any, batch: Batch) -> Tensor:
        inputs = {"input_ids": batch.ids_BT, "attention_mask": batch.mask_BT, "use_cache": False}
        return torch.as_tensor(model(**inputs, labels=batch.labels_BT).loss)

    def reference(self, what: str, batch: Batch, compute: Callable[[], Tensor]) -> Tensor:
        """What the frozen model says; with the trick, only the first time that these rows are seen together."""
        key = (what, *batch.rows)
        if "cached reference" not in self.tricks:
            with torch.no_grad():
                return compute()
        if key not in self._known:
            with torch.no_grad():
                self._known[key] = compute()
        return self._known[key]

    def answered(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which positions predict an answer's token, and the tokens, with 0 where there is none."""
        next_BT = batch.labels_BT[:, 1:]
        kept_BT = next_BT != IGNORE
        return kept_BT, next_BT.where(kept_BT, 0)


def npo(plain: Plain, forget: Batch, retain: Batch, _alternate: Batch, beta: float, weight: float) -> list[Tensor]:
    nll_B = plain.nll_B(plain.model, forget)
    was_B = plain.reference("nll", forget, lambda: plain.nll_B(plain.frozen, forget))
    return [-2 / beta * F.logsigmoid(beta * (nll_B - was_B)).mean(), weight * plain.mean_nll(retain)]


def dpo(plain: Plain, forget: Batch, retain: Batch, alternate: Batch, beta: float, weight: float) -> list[Tensor]:
    lost_B, won_B = plain.nll_B(plain.model, forget), plain.nll_B(plain.model, alternate)
    lost_was_B = plain.reference("nll", forget, lambda: plain.nll_B(plain.frozen, forget))
    won_was_B = plain.reference("nll", alternate, lambda: plain.nll_B(plain.frozen, alternate))
    better_B = (won_was_B - won_B) - (lost_was_B - lost_B)
    return [-2 / beta * F.logsigmoid(beta * better_B).mean(), weight * plain.mean_nll(retain)]


def grad_diff_kl(plain: Plain, forget: Batch, retain: Batch, _alternate: Batch, weight: float) -> list[Tensor]:
    """KL of all positions, of which the answers' count. The retain batch is run twice by the model in training, as there:
    once for its loss, which is thrown away."""
    ascent = -plain.mean_nll(forget)
    plain.mean_nll(retain)
    logits = plain._said(plain.model, retain)[:, :-1].float()
    was = plain.reference("logits", retain, lambda: plain._said(plain.frozen, retain))[:, :-1].float()
    kl = F.kl_div(logits.log_softmax(-1), was.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    kept, _ = plain.answered(retain)
    return [ascent, weight * (kl * kept).sum() / kept.sum()]


def undial(plain: Plain, forget: Batch, retain: Batch, _alternate: Batch, beta: float) -> list[Tensor]:
    """With a retain weight of 0 the retain batch is run all the same, and the graph of 0 times its loss kept."""
    kept, labels = plain.answered(forget)
    logits = plain._said(plain.model, forget)[:, :-1].float()
    was = plain.reference("logits", forget, lambda: plain._said(plain.frozen, forget))[:, :-1].float()
    target = (was - beta * F.one_hot(labels, was.shape[-1])).softmax(-1)
    loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), reduction="none").view_as(kept)
    return [(loss * kept).sum() / kept.sum(), 0.0 * plain.mean_nll(retain)]


def rmu(
    plain: Plain, forget: Batch, retain: Batch, _alternate: Batch, block: int, push: float, weight: float
) -> list[Tensor]:
    """Three whole passes with logits and loss, though one layer's output is looked at."""
    pushed, kept = plain_states(plain, plain.model, forget, block), plain_states(plain, plain.model, retain, block)
    was = plain.reference("states", retain, lambda: plain_states(plain, plain.frozen, retain, block))
    masks = [batch.labels_BT != IGNORE for batch in (forget, retain)]
    size = push * torch.linalg.vector_norm(was[masks[1]], dim=-1).mean()
    target = size * random_direction(pushed.shape[-1], 0)
    apart = [((pushed - target) ** 2).mean(-1), ((kept - was) ** 2).mean(-1)]
    terms = [((a * m).sum(1) / m.sum(1)).mean() for a, m in zip(apart, masks, strict=True)]
    return [terms[0], weight * terms[1]]


def plain_states(plain: Plain, model: Any, batch: Batch, block: int) -> Tensor:
    """A block's output, caught on the way through the whole model; with early exit nothing after it runs."""
    if "early exit" in plain.tricks:
        return Trunk.of(model).states(batch, block)
    caught: list[Tensor] = []

    def keep(_module: Any, _args: Any, out: Any) -> None:
        caught.append(out[0] if isinstance(out, tuple) else out)

    handle = Trunk.of(model).blocks[block].register_forward_hook(keep)
    try:
        plain._loss(model, batch)
    finally:
        handle.remove()
    return caught[0]
