"""Shake the weights, or the states between blocks, and ask again: what only hides may be thrown off its balance.

Weak alone: it is the least that a claim to withstand white-box attacks should withstand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from expunge.engine import Trunk, derived_seed
from expunge.verify.attacks._registry import attacks
from expunge.verify.attacks._target import CannotRun, Scores, Target
from expunge.verify.probes import Probes


@attacks.add
@dataclass(frozen=True, kw_only=True)
class Noise:
    """Gaussian noise in multiples of the spread of what it is added to; every size is a setting.

    `weights`: of each tensor's standard deviation. `states`: of each position's, over its features, after every block.
    A fact's score is its mean over `draws`. The best of the draws would reward luck: with recall p by chance, the best of
    n has 1 - (1 - p)^n, on the control as well.
    """

    weights: tuple[float, ...] = (0.1, 0.2)
    states: tuple[float, ...] = (0.1, 0.2)
    draws: int = 3
    family: ClassVar[str] = "perturbation"

    def run(self, target: Target, probes: Probes) -> Scores:
        if not all(bool(p.isfinite().all()) for p in target.model.parameters()):
            raise CannotRun("some weights are not finite; noise on them means nothing")
        shaken = {
            **{
                f"weights, {size:g} sd": [self._weights(target, probes, size, k) for k in self._k]
                for size in self.weights
            },
            **{
                f"states, {size:g} sd": [self._states(target, probes, size, k) for k in self._k] for size in self.states
            },
        }
        return {name: [sum(fact) / len(fact) for fact in zip(*rows, strict=True)] for name, rows in shaken.items()}

    @property
    def _k(self) -> range:
        return range(self.draws)

    def _weights(self, target: Target, probes: Probes, size: float, draw: int) -> list[float]:
        victim = target.copy()
        with torch.no_grad():
            for name, p in victim.model.named_parameters():
                p.copy_(shaken(p, size * p.float().std(correction=0), _generator("weights", size, draw, name)))
        return victim.recalls(probes.forget)

    def _states(self, target: Target, probes: Probes, size: float, draw: int) -> list[float]:
        def shake(block: int) -> Callable[[Tensor], Tensor]:
            generator = _generator("states", size, draw, block)
            return lambda hidden: shaken(hidden, size * hidden.float().std(-1, True, keepdim=True), generator)

        trunk = Trunk.of(target.model)
        with trunk.edited({i: shake(i) for i in range(len(trunk.blocks))}):
            return target.recalls(probes.forget)


def shaken(x: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """x + scale * N(0, 1), drawn on the CPU so that every device sees the same noise."""
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    return torch.as_tensor((x.float() + scale * noise).to(x.dtype))


def _generator(*context: Any) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(b"expunge/noise/v1", *map(str, context)))
