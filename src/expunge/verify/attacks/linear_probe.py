"""Read the answer from a hidden layer with a linear map that was fitted on retained facts alone.

No forgotten fact is used to fit it, so what it reads was in the model. Source: the tuned lens (Belrose et al. 2023,
arXiv:2303.08112) and probing with controls (Hewitt and Liang 2019, arXiv:1909.03368).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from expunge.engine import Encoded, all_hidden, collate, encode, pad_id, value_span
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A ridge map from each layer's state to what the vocabulary head reads, fitted on the tokens of retained answers.

    Asked for the first token of each forgotten value; every layer is a setting.
    """

    ridge: float = 1.0
    batch_size: int = 64
    family: ClassVar[str] = "white box"

    def run(self, target: Target, probes: Probes) -> Scores:
        if len(probes.retain) < 50:
            raise CannotRun(f"needs at least 50 retained facts to fit a probe, got {len(probes.retain)}")
        rows = encode(target.tokenizer, probes.retain)
        *layers, read_ND = self._states(target, rows, [range(row.n_prompt, len(row.ids)) for row in rows])
        if not all(bool(x_ND.isfinite().all()) for x_ND in (*layers, read_ND)):
            raise CannotRun("the model's hidden states are not finite")
        asked = encode(target.tokenizer, probes.forget)
        starts = [
            row.n_prompt + value_span(target.tokenizer, fact.answer, fact.value, bool(fact.question))[0]
            for row, fact in zip(asked, probes.forget, strict=True)
        ]
        *asked_layers, _ = self._states(target, asked, [range(at, at + 1) for at in starts])
        answers_M = torch.tensor([row.ids[at] for row, at in zip(asked, starts, strict=True)])
        head = copy.deepcopy(target.model.get_output_embeddings()).float().cpu()
        with torch.no_grad():
            return {
                f"layer {i}": (head(ridge_map(x_ND, read_ND, z_MD, self.ridge)).argmax(-1) == answers_M)
                .float()
                .tolist()
                for i, (x_ND, z_MD) in enumerate(zip(layers, asked_layers, strict=True))
            }

    def _states(self, target: Target, rows: Sequence[Encoded], wanted: Sequence[range]) -> list[Tensor]:
        """Per layer, and last for the head, the states just before the wanted tokens, [N, D], row after row."""
        device = next(target.model.parameters()).device
        parts: list[list[Tensor]] = []
        for k in range(0, len(rows), self.batch_size):
            batch = collate(rows[k : k + self.batch_size], pad_id(target.tokenizer)).to(device)
            at = [(j, t - 1) for j, span in enumerate(wanted[k : k + self.batch_size]) for t in span]
            row_N, column_N = torch.tensor(at, device=device).T
            parts.append([hidden_BTD[row_N, column_N].float().cpu() for hidden_BTD in all_hidden(target.model, batch)])
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def ridge_map(x_ND: Tensor, y_NE: Tensor, z_MD: Tensor, ridge: float) -> Tensor:
    """What a ridge regression of `y` on standardised `x` predicts for `z`.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> ridge_map(x, 2 * x + 1, torch.tensor([[10.0]]), ridge=1e-9).round(decimals=3)
    tensor([[21.]])
    """
    mean, scale = x_ND.double().mean(0), x_ND.double().std(0).clamp(min=1e-6)
    x, z = (x_ND.double() - mean) / scale, (z_MD.double() - mean) / scale
    y_mean = y_NE.double().mean(0)
    gram = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x.T @ (y_NE.double() - y_mean))
    return torch.as_tensor((z @ weights + y_mean).float())
