"""Take out of the states the direction that tells forgotten questions from retained ones, and ask again.

An edit that recognises what it hides has to write that down somewhere: as a wish to refuse, at the end of the question, or
as a junk direction along the answer (RMU). No other model is needed; of the forgotten answers only one mean state is used.
Source: Łucki et al. (2024), arXiv:2409.18025 ("orthogonalization"); Arditi et al. (2024), arXiv:2406.11717.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from expunge.core import Fact
from expunge.core.errors import InvalidParameter
from expunge.engine import Trunk, encode
from expunge.verify.attacks._reading import evenly, states_before
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class DirectionAblation:
    """d = mean state on the forgotten facts - mean state on the retained ones, massive activations left out.

    "question": at the question's last token, where a model decides what to say; "answer": wherever it says a token of the
    true answer. For each, up to `n_layers` blocks, evenly spread, are settings: d of that block is projected out of the
    states after it. "everywhere": each block's own d after each block at once.
    """

    n_layers: int = 4
    outlier: float = 3.0
    family: ClassVar[str] = "perturbation"

    def __post_init__(self) -> None:
        if self.n_layers < 1 or self.outlier < 1:  # within one deviation of the mean there is always something left
            raise InvalidParameter(f"n_layers and outlier must be >= 1, got {self.n_layers} and {self.outlier}")

    def run(self, target: Target, probes: Probes) -> Scores:
        if len(probes.retain) < 2 or len(probes.forget) < 2:
            raise CannotRun("needs two forgotten and two retained facts at least; a direction is a difference of means")
        scores: Scores = {}
        for part in ("question", "answer"):
            forget, retain = (_states(target, facts, part) for facts in (probes.forget, probes.retain))
            d_LD = [direction(f_ND, r_MD, self.outlier) for f_ND, r_MD in zip(forget, retain, strict=True)]
            places = {f"layer {i}": [i] for i in evenly(len(d_LD), self.n_layers)} | {"everywhere": [*range(len(d_LD))]}
            for name, where in places.items():
                with Trunk.of(target.model).edited({i: _without(d_LD[i]) for i in where}):
                    scores[f"{part}, {name}"] = target.recalls(probes.forget)
        return scores


def _states(target: Target, facts: Sequence[Fact], part: str) -> list[Tensor]:
    rows = encode(target.tokenizer, facts)
    wanted = [range(row.n_prompt, row.n_prompt + 1 if part == "question" else len(row.ids)) for row in rows]
    return states_before(target, rows, wanted)[:-1]


def direction(forget_ND: Tensor, retain_MD: Tensor, outlier: float = 3.0) -> Tensor:
    """The unit vector from the mean retained state to the mean forgotten one, outliers left out.

    >>> direction(torch.tensor([[3.0, 1.0], [5.0, 1.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    tensor([1., 0.])
    """
    difference_D = typical(forget_ND, outlier).mean(0) - typical(retain_MD, outlier).mean(0)
    return torch.as_tensor(difference_D / difference_D.norm().clamp(min=1e-12))


def typical(states_ND: Tensor, outlier: float) -> Tensor:
    """The states whose length lies within `outlier` standard deviations of the mean length; massive activations do not."""
    length_N = states_ND.norm(dim=-1)
    z_N = (length_N - length_N.mean()) / length_N.std(correction=0).clamp(min=1e-12)
    return states_ND[z_N.abs() <= outlier]


def projected_out(hidden_BTD: Tensor, direction_D: Tensor) -> Tensor:
    """h - (h·d) d, for a unit vector d.

    >>> projected_out(torch.tensor([[[3.0, 4.0]]]), torch.tensor([0.0, 1.0]))
    tensor([[[3., 0.]]])
    """
    return hidden_BTD - (hidden_BTD @ direction_D)[..., None] * direction_D


def _without(direction_D: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda hidden_BTD: projected_out(hidden_BTD, direction_D.to(hidden_BTD))
