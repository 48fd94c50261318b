"""Read the answer from a hidden layer with a linear map that was fitted on retained facts alone.

No forgotten fact is used to fit it, so what it reads was in the model. Source: the tuned lens (Belrose et al. 2023,
arXiv:2303.08112) and probing with controls (Hewitt and Liang 2019, arXiv:1909.03368).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from scipy.stats import binomtest
from torch import Tensor

from expunge.engine import derived_seed, encode, keyed_order, value_span
from expunge.verify.attacks._reading import states_before, value_starts
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes

_FEWEST = 50  # retained facts
_LEVEL = 0.05


@attacks.add
@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """A ridge map from each layer's state to what the vocabulary head reads, fitted on the tokens of retained answers.

    Asked for the first token of each forgotten value; every layer is a setting.
    A probe is believed only where it is selective: on retained facts that were held out (`folds`-fold) it must read more
    than its twin that was fitted to shuffled answers, by an exact sign test at 0.05. A layer without that scores 0, for
    what it hits is luck; an arm without a single selective layer cannot be probed at all.
    """

    ridge: float = 1.0
    folds: int = 4
    family: ClassVar[str] = "reading"

    def run(self, target: Target, probes: Probes) -> Scores:
        if len(probes.retain) < _FEWEST:
            raise CannotRun(f"needs at least {_FEWEST} retained facts to fit a probe, got {len(probes.retain)}")
        fit = _Tokens.of(target, probes, self.folds)
        starts = value_starts(target, probes.forget)
        head = copy.deepcopy(target.model.get_output_embeddings()).float().cpu()
        scores: Scores = {}
        selective = False
        with torch.no_grad():
            for i, (x_ND, z_MD) in enumerate(zip(fit.layers, starts.layers, strict=True)):
                said_M = head(ridge_map(x_ND, fit.read_ND, z_MD, self.ridge)).argmax(-1)
                believed = is_selective(*self._held_out(fit, x_ND, head))
                scores[f"layer {i}"] = [float(believed and hit) for hit in (said_M == starts.token_N).tolist()]
                selective = selective or believed
        if not selective:
            raise CannotRun(
                "no layer's probe reads held-out retained facts better than one fitted to shuffled answers; it could not "
                "have read a forgotten one"
            )
        return scores

    def _held_out(self, fit: "_Tokens", x_ND: Tensor, head: Any) -> tuple[list[bool], list[bool]]:
        """Whether each retained value is read by the probe of the other folds, and by its twin of shuffled answers."""
        generator = torch.Generator().manual_seed(derived_seed(b"expunge/linear_probe/v1"))
        true, shuffled = ([False] * len(fit.value_at) for _ in range(2))
        for fold in range(self.folds):
            rest_N = fit.fold_N != fold
            out = [j for j, at in enumerate(fit.value_at) if fit.fold_N[at] == fold]
            at = torch.tensor([fit.value_at[j] for j in out])
            x, y, z = x_ND[rest_N], fit.read_ND[rest_N], x_ND[at]
            for hits, targets in ((true, y), (shuffled, y[torch.randperm(len(y), generator=generator)])):
                guesses = head(ridge_map(x, targets, z, self.ridge)).argmax(-1)
                for j, hit in zip(out, (guesses == fit.token_N[at]).tolist(), strict=True):
                    hits[j] = hit
        return true, shuffled


@dataclass(frozen=True)
class _Tokens:
    """States before every token of the retained answers, and where among them each fact's value starts."""

    layers: Sequence[Tensor]
    read_ND: Tensor
    token_N: Tensor
    fold_N: Tensor  # facts are never split between folds
    value_at: list[int]

    @classmethod
    def of(cls, target: Target, probes: Probes, folds: int) -> "_Tokens":
        rows = encode(target.tokenizer, probes.retain)
        *layers, read_ND = states_before(target, rows, [range(row.n_prompt, len(row.ids)) for row in rows])
        rank = {i: k for k, i in enumerate(keyed_order([row.id for row in rows], b"expunge/folds/v1"))}
        fold_N = [rank[i] % folds for i, row in enumerate(rows) for _ in row.ids[row.n_prompt :]]
        value_at, first = [], 0
        for row, fact in zip(rows, probes.retain, strict=True):
            start, _ = value_span(target.tokenizer, fact.answer, fact.value, bool(fact.question))
            value_at.append(first + start)
            first += len(row.ids) - row.n_prompt
        token_N = torch.tensor([t for row in rows for t in row.ids[row.n_prompt :]])
        return cls(layers, read_ND, token_N, torch.tensor(fold_N), value_at)


def is_selective(true: Sequence[bool], shuffled: Sequence[bool]) -> bool:
    """Whether the first reads more facts than the second: exact sign test on the facts that only one of them reads.

    >>> is_selective([True] * 5, [False] * 5), is_selective([True] * 4, [False] * 4), is_selective([True], [True])
    (True, False, False)
    """
    only_true = sum(a and not b for a, b in zip(true, shuffled, strict=True))
    only_shuffled = sum(b and not a for a, b in zip(true, shuffled, strict=True))
    n = only_true + only_shuffled
    return bool(n and binomtest(only_true, n, alternative="greater").pvalue <= _LEVEL)


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
