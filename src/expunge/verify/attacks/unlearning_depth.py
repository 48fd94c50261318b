"""How deep the forgetting goes: put the arm's states into the original, layer by layer, and see what it can still say.

Where the states of a model that never saw the fact stop the original from saying it, that layer carries the fact. Where
the arm's states do the same, the arm has lost it there.
Source: Lee, Kim, Jo (2026), arXiv:2605.24614, Sec. 3: the Unlearning Depth Score (UDS). Shapes: L layers, N facts, B rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.engine import (
    IGNORE,
    Batch,
    Trunk,
    collate,
    encode,
    pad_id,
    sequence_logp,
    value_span,
)
from expunge.verify.attacks._finetune import held_back
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target, needed
from expunge.verify.probes import Probes

_FITS = 0.5


@attacks.add
@dataclass(frozen=True, kw_only=True)
class UnlearningDepth:
    """The probability, geometric mean over a value's tokens, that the original says the value from the arm's states.

    Averaged over the layers that carry the facts, each weighted by what the control's states cost there. Not 1 - UDS:
    its clipped ratio counts noise as knowledge. On the demo a second retrained model would score 0.18 where the first
    scores 0; here both score 0.217 and the original 0.80.

    The arm's states must mean something to the original: on retained facts they may cost at most half of what the
    control's cost on forgotten ones. States of models that grew from different random weights do not fit.
    """

    threshold: float = 0.05  # nats a token; below it a layer does not carry the facts
    batch_size: int = 64
    family: ClassVar[str] = "reading"
    needs: ClassVar[tuple[str, ...]] = ("original", "control")

    def run(self, target: Target, probes: Probes) -> Scores:
        company = needed(target.company, self.needs)
        original, control = company["original"], company["control"]
        if len({len(Trunk.of(arm.model).blocks) for arm in (original, control, target)}) > 1:
            raise CannotRun("the arms have different numbers of layers; states cannot be put from one into another")
        retained, _ = held_back(probes)
        if not retained:
            raise CannotRun("no retained facts, by which to see whether the arm's states fit into the original")
        _, control_LN = self._drops(original, control, probes.forget)
        weight_L = carrying(control_LN, self.threshold)
        cost = float(weight_L @ control_LN.mean(dim=1))
        harm = float(weight_L @ self._drops(original, target, retained)[1].mean(dim=1))
        if not harm <= _FITS * cost:
            raise CannotRun(
                f"the arm's states cost the original {harm:.2f} nats a token on retained facts, more than half of the "
                f"{cost:.2f} that the control's cost on forgotten ones; they do not fit, or the arm has lost its skill"
            )
        whole_N, drop_LN = self._drops(original, target, probes.forget)
        return {"all layers": (weight_L @ (whole_N - drop_LN).exp()).clamp(max=1.0).tolist()}

    def _drops(self, original: Target, source: Target, facts: Sequence[Fact]) -> tuple[Tensor, Tensor]:
        """Each value's mean token log-probability in the original, [N], and what another model's states cost of it, [L, N]."""
        parts = [facts[k : k + self.batch_size] for k in range(0, len(facts), self.batch_size)]
        found = [patched_drops(original.model, source.model, _values(original, part)) for part in parts]
        return torch.cat([whole_B for whole_B, _ in found]), torch.cat([drop_LB for _, drop_LB in found], dim=1)


def carrying(drop_LN: Tensor, threshold: float) -> Tensor:
    """Weights, [L], of the layers whose mean drop is above the threshold, in proportion to it; they add up to 1.

    Raises: CannotRun, if there is no such layer.

    >>> carrying(torch.tensor([[0.0, 0.02], [1.0, 1.0], [2.0, 4.0]]), 0.05)
    tensor([0.0000, 0.2500, 0.7500])
    """
    mean_L = drop_LN.mean(dim=1)
    if not bool((mean_L > threshold).any()):
        raise CannotRun(
            "the control's states cost the original nothing at any layer; it seems to know the facts as well"
        )
    weight_L = mean_L.where(mean_L > threshold, torch.zeros(()))
    return weight_L / weight_L.sum()


def unlearning_depth_score(
    control_drop_L: Sequence[float], drop_L: Sequence[float], threshold: float = 0.05
) -> float | None:
    """UDS of one fact = sum(D1 * LER) / sum(D1) over the layers with D1 > threshold, LER = clip(D2 / D1, 0, 1); None without one.

    D1 and D2 are the drops in log-probability under the control's states and under the arm's. 0: intact; 1: erased.

    >>> unlearning_depth_score([0.01, 2.0, 4.0], [5.0, 1.0, 6.0])  # (2 * 0.5 + 4 * 1) / 6
    0.8333333333333334
    >>> unlearning_depth_score([0.01, 0.02], [1.0, 1.0]) is None
    True
    """
    layers = [
        (d1, min(max(d2 / d1, 0.0), 1.0)) for d1, d2 in zip(control_drop_L, drop_L, strict=True) if d1 > threshold
    ]
    return sum(d1 * ratio for d1, ratio in layers) / sum(d1 for d1, _ in layers) if layers else None


@torch.no_grad()
def patched_drops(original: Any, source: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """The labelled tokens' mean log-probability, [B], and its drop where block l's states are the source's, [L, B].

    Only the states that say those tokens are replaced, as in the paper.
    """
    said_BT = torch.zeros_like(batch.mask_BT, dtype=torch.bool)
    said_BT[:, :-1] = batch.labels_BT[:, 1:] != IGNORE
    n_B = said_BT.sum(dim=1)
    whole_B = sequence_logp(original, batch) / n_B
    drops: list[Tensor] = []
    for layer, states_BTD in enumerate(Trunk.of(source).all_states(batch)[:-1]):

        def patch(own_BTD: Tensor, states_BTD: Tensor = states_BTD) -> Tensor:
            return torch.where(said_BT[..., None], states_BTD.to(own_BTD), own_BTD)

        with Trunk.of(original).edited({layer: patch}):
            drops.append(whole_B - sequence_logp(original, batch) / n_B)
    return whole_B.cpu(), torch.stack(drops).cpu()


def _values(target: Target, facts: Sequence[Fact]) -> Batch:
    """Questions and answers with the tokens of the value as labels."""
    rows = encode(target.tokenizer, facts)
    batch = collate(rows, pad_id(target.tokenizer))
    labels_BT = torch.full_like(batch.labels_BT, IGNORE)
    for i, (row, fact) in enumerate(zip(rows, facts, strict=True)):
        start, end = value_span(target.tokenizer, fact.answer, fact.value, bool(fact.question))
        labels_BT[i, row.n_prompt + start : row.n_prompt + end] = batch.ids_BT[
            i, row.n_prompt + start : row.n_prompt + end
        ]
    return replace(batch, labels_BT=labels_BT).to(next(target.model.parameters()).device)
