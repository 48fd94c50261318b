"""Read the answer from a hidden layer with a linear map that was fitted on retained facts alone.

No forgotten fact is used to fit it, so what it reads was in the model. Source: the tuned lens (Belrose et al. 2023,
arXiv:2303.08112) and probing with controls (Hewitt and Liang 2019, arXiv:1909.03368).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.engine import all_hidden, collate, encode, pad_id, value_span
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """Ridge regression from each layer's state before the value to the value's first token; every layer is a setting."""

    ridge: float = 1.0
    batch_size: int = 64
    family: ClassVar[str] = "white box"

    def run(self, target: Target, probes: Probes) -> Scores:
        if len(probes.retain) < 50:
            raise CannotRun(f"needs at least 50 retained facts to fit a probe, got {len(probes.retain)}")
        train_LND, labels_N = self._states(target, probes.retain)
        test_LND, answers_M = self._states(target, probes.forget)
        scores: Scores = {}
        for layer, (x_ND, z_MD) in enumerate(zip(train_LND, test_LND, strict=True)):
            guesses_M = ridge_guesses(x_ND, labels_N, z_MD, self.ridge)
            scores[f"layer {layer}"] = (guesses_M == answers_M).float().tolist()
        return scores

    def _states(self, target: Target, facts: Sequence[Fact]) -> tuple[list[Tensor], Tensor]:
        """Per layer, the state at the token before the value, [N, D]; and the value's first token, [N]."""
        rows = encode(target.tokenizer, facts)
        starts = [
            row.n_prompt + value_span(target.tokenizer, fact.answer, fact.value)[0]
            for row, fact in zip(rows, facts, strict=True)
        ]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        per_row: list[list[Tensor]] = [[] for _ in rows]
        device = next(target.model.parameters()).device
        for k in range(0, len(order), self.batch_size):
            part = order[k : k + self.batch_size]
            layers = all_hidden(target.model, collate([rows[i] for i in part], pad_id(target.tokenizer)).to(device))
            for j, i in enumerate(part):
                per_row[i] = [hidden_BTD[j, starts[i] - 1].float().cpu() for hidden_BTD in layers]
        states = [torch.stack(layer) for layer in zip(*per_row, strict=True)]
        return states, torch.tensor([row.ids[at] for row, at in zip(rows, starts, strict=True)])


def ridge_guesses(x_ND: Tensor, labels_N: Tensor, z_MD: Tensor, ridge: float) -> Tensor:
    """Labels for `z` by one-hot ridge regression on standardised features of `x`; only labels seen in `x` are guessed.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.9, 0.0]])
    >>> ridge_guesses(x, torch.tensor([7, 9, 7, 9]), torch.tensor([[0.0, 0.8]]), ridge=0.1)
    tensor([7])
    """
    classes, index_N = labels_N.unique(return_inverse=True)
    mean, scale = x_ND.double().mean(0), x_ND.double().std(0).clamp(min=1e-6)
    x, z = (x_ND.double() - mean) / scale, (z_MD.double() - mean) / scale
    y = torch.nn.functional.one_hot(index_N, len(classes)).double()
    y_mean = y.mean(0)
    gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x.T @ (y - y_mean))
    return classes[(z @ weights + y_mean).argmax(dim=1)]
