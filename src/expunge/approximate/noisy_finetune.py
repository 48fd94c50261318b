"""Certified noisy fine-tuning: clip the model to a ball around an anchor, descend on retained rows with noise, fine-tune.

Source: Koloskova, Allouah, Jha, Guerraoui, Koyejo (2025), arXiv:2506.06985, gradient clipping:
x_0 = r + clip_C0(x - r);  x_t+1 = x_t - gamma (clip_C1(g_t) + lambda (x_t - r)) + N(0, sigma^2 I).
The accountant is `_accountant`, tight where the paper's closed forms are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from expunge.approximate import _accountant
from expunge.approximate._draws import paired
from expunge.approximate._inner import needs_every_weight
from expunge.approximate._likelihood import Likelihood
from expunge.approximate._method import Method
from expunge.approximate._registry import methods
from expunge.approximate._statistics import batch_statistics, layers
from expunge.approximate._work import Work
from expunge.core import Guarantee
from expunge.core.errors import InvalidParameter
from expunge.core.noise import new_secret, noise_words
from expunge.engine import epoch_batches

_WORDS = "noisy fine-tuning"


@methods.add
@dataclass(frozen=True, kw_only=True)
class NoisyFinetune(Method):
    """(epsilon, delta) for everything that is not retained, whatever the model was before; any architecture or loss.

    The anchor r is a fresh initialisation from the run's seed, which owes nothing to the data. `radius` is C0, `clip` C1
    (one L2 norm over all weights and over the batch's gradient), `rate` gamma, `decay` lambda; plain SGD. Then
    `settings.steps` of ordinary fine-tuning on retained rows, which is post-processing.

    `secret`: the noise comes from a generator started with 256 bits of the operating system's (`core.noise`), and the result
    is CERTIFIED. Otherwise it is repeatable from `settings.seed`; whoever knows that seed can take it off, so the claim is
    EMPIRICAL.

    Assumed, not checked: the forget set was chosen independently of the published model; these parameters were not tuned on
    it; floating point behaves as real numbers do. Models published earlier are not covered. What retained rows taught
    beyond the ball is lost as well: `notes` price the alternative, starting again from r, which is exact.

    Raises: InvalidParameter, where part of the model would escape the noise: adapters, chosen modules, other than float32.
    """

    epsilon: float = 1.0
    delta: float = 1e-5
    radius: float = 0.002
    clip: float = 1.0
    rate: float = 1e-4
    decay: float = 0.0
    steps: int = 20
    secret: bool = False

    def __post_init__(self) -> None:
        if min(self.radius, self.decay) < 0 or min(self.clip, self.rate) <= 0 or self.steps < 1:
            raise InvalidParameter(f"radius, decay >= 0, clip, rate > 0 and steps >= 1 are needed, got {self}")
        _ = self.sigma  # refuses what cannot be accounted for

    @property
    def guarantee(self) -> Guarantee:  # type: ignore[override]  # a constant of most classes
        return Guarantee.CERTIFIED if self.secret else Guarantee.EMPIRICAL

    @property
    def mu(self) -> float:
        return _accountant.budget(self.epsilon, self.delta)

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise on every weight at every step."""
        return _accountant.sigma_for(self.mu, self.radius, self.clip, self.rate, self.decay, self.steps)

    def edit(self, work: Work) -> list[float]:
        _check(work)
        anchor = work.fresh(work.seed(_WORDS, "anchor"))
        secret = new_secret() if self.secret else f"edit/{work.settings.seed}".encode()
        self.noisy_phase(work, anchor, np.random.default_rng(noise_words(secret, _WORDS, "noise")))
        self._note(work)
        return work.descend(Likelihood("retain"), name="finetune", forget=[], anew=True)

    def noisy_phase(self, work: Work, anchor: nn.Module, draw: np.random.Generator) -> None:
        """Phase 1 in place.

        Batches are normalised by their own statistics: of the weights and of retained rows, like the gradient. The buffers
        that this fills are a function of weights before their noise, so those of the anchor take their place.
        """
        weights = list(work.model.parameters())
        _copy_buffers(anchor, work.model)
        start = [r.detach().to(p) for p, r in zip(weights, anchor.parameters(), strict=True)]
        moved = clipped([p.detach() - r for p, r in zip(weights, start, strict=True)], self.radius)
        with torch.no_grad():
            for p, r, d in zip(weights, start, moved, strict=True):
                p.copy_(r + d)
        for rows in _orders(work, self.steps):
            with batch_statistics(work.model):
                found = torch.autograd.grad(work.side(rows).nll, weights, allow_unused=True)
            gradient = clipped(
                [torch.zeros_like(p) if g is None else g for g, p in zip(found, weights, strict=True)], self.clip
            )
            with torch.no_grad():
                for p, g, r in zip(weights, gradient, start, strict=True):
                    noise = torch.as_tensor(draw.standard_normal(tuple(p.shape))).to(p)
                    p.copy_(p - self.rate * (g + self.decay * (p - r)) + self.sigma * noise)  # decay is not clipped
            work.rows_trained += len(rows)
        _copy_buffers(anchor, work.model)

    def _note(self, work: Work) -> None:
        batch, later = work.settings.retain_batch, work.settings.steps
        published = _accountant.published_sigma(
            self.epsilon, self.delta, self.radius, self.clip, self.rate, self.decay, self.steps
        )
        forms = "not stated there" if published is None else f"{published:.4g}"
        noise = "secret noise" if self.secret else "repeatable noise, so nothing is certified (secret=True certifies)"
        work.notes += [
            f"({self.epsilon:g}, {self.delta:g}) for all that is not retained: mu {self.mu:.4f}, sigma {self.sigma:.4g} at "
            f"{self.steps} steps, radius {self.radius:g}, clip {self.clip:g}, rate {self.rate:g}, decay {self.decay:g}; the "
            f"paper's closed form asks for sigma {forms}; {noise}",
            f"dominated: starting again from the anchor and fine-tuning is exact and visits {later * batch:,} retained rows; "
            f"this visits {(later + self.steps) * batch:,}, and its noise leaves at most {self.mu**2 / 2 / log(2):.2g} bits "
            "of the original model",
            "assumed: the deleted rows were chosen independently of the published model, and these parameters without them",
        ]


def clipped(tensors: Sequence[Tensor], most: float) -> list[Tensor]:
    """Scaled down together to an L2 norm of at most `most`: one norm over all of them, not one each.

    >>> clipped([torch.tensor([3.0]), torch.tensor([4.0])], 1.0)
    [tensor([0.6000]), tensor([0.8000])]
    """
    norm = float(torch.stack([t.double().square().sum() for t in tensors]).sum().sqrt())
    return [t * (most / norm) for t in tensors] if norm > most else list(tensors)


@torch.no_grad()
def _copy_buffers(source: nn.Module, target: nn.Module) -> None:
    for mine, theirs in zip(target.buffers(), source.buffers(), strict=True):
        mine.copy_(theirs)


def _check(work: Work) -> None:
    settings, weights = work.settings, list(work.model.parameters())
    if settings.lora or settings.modules or settings.until is not None:
        raise InvalidParameter(
            "noise must reach every weight and the end must not depend on the deleted rows; drop lora, modules and until"
        )
    needs_every_weight(work, _WORDS)
    if other := {str(p.dtype) for p in weights if p.dtype != torch.float32}:
        raise InvalidParameter(
            f"weights are {sorted(other)}; their rounding undoes the noise: convert to float32 first"
        )


def _orders(work: Work, steps: int) -> list[Any]:
    """Batches of retained rows, in an order that no earlier training used."""
    batches: list[Any] = []
    whole = paired if layers(work.model) else list[Any]
    secret, epoch = f"edit/{work.settings.seed}".encode(), 0
    while len(batches) < steps:
        batches += whole(epoch_batches(work.retain, work.settings.retain_batch, secret, _WORDS, epoch))
        epoch += 1
    return batches[:steps]
