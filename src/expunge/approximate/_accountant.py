"""What noise hides: a tight bound for noisy clipped descent, from any two starts within a ball of their anchor.

Source: the setting is Koloskova, Allouah, Jha, Guerraoui, Koyejo (2025), arXiv:2506.06985 (gradient clipping); the bound is
shifted interpolation over its steps, each of which moves two runs at most 2 gamma C1 apart and contracts them by 1 - gamma
lambda. It is met by a one-dimensional worst case (tests/approximate/test_noisy_finetune.py), so less noise will not do.
Units: `mu` is the distance in standard deviations that any test must tell two Gaussians apart by.
"""

from collections.abc import Sequence
from math import erfc, exp, log, prod, sqrt

from expunge.core.errors import InvalidParameter


def delta(epsilon: float, mu: float) -> float:
    """The smallest delta at which two Gaussians `mu` apart are (epsilon, delta)-close.

    >>> round(delta(1.0, 0.268), 6)
    1e-05
    """
    return _phi(-epsilon / mu + mu / 2) - exp(epsilon) * _phi(-epsilon / mu - mu / 2)


def budget(epsilon: float, delta_most: float) -> float:
    """The largest mu that keeps (epsilon, delta).

    Raises: InvalidParameter, unless epsilon > 0 and 0 < delta < 1.

    >>> [round(budget(epsilon, 1e-5), 3) for epsilon in (1, 8)]
    [0.268, 1.666]
    """
    if epsilon <= 0 or not 0 < delta_most < 1:
        raise InvalidParameter(f"epsilon must be > 0 and delta in (0, 1), got {epsilon} and {delta_most}")
    low, high = 1e-9, 1e3
    for _ in range(200):
        middle = sqrt(low * high)
        low, high = (middle, high) if delta(epsilon, middle) <= delta_most else (low, middle)
    return low


def mu(radius: float, clip: float, rates: Sequence[float], decay: float, sigmas: Sequence[float]) -> float:
    """How far apart two runs can be told that begin anywhere within `radius` of the anchor.

    `rates` and `sigmas` of each step (gamma_t, sigma_t); `clip` bounds the norm of a step's gradient, `decay` (lambda)
    pulls to the anchor.

    Raises: InvalidParameter, where a step would overshoot the anchor: gamma lambda must lie in [0, 1].

    >>> round(mu(1.0, 1.0, [0.1] * 10, 0.0, [1.0] * 10), 4)  # 2 (C0 + gamma C1 T) / (sigma sqrt T)
    1.2649
    """
    gap, weights = _gap(radius, clip, rates, decay)
    return gap / sqrt(sum((s * w) ** 2 for s, w in zip(sigmas, weights, strict=True)))


def sigma_for(mu_most: float, radius: float, clip: float, rate: float, decay: float, steps: int) -> float:
    """The constant noise that keeps `mu`."""
    return mu(radius, clip, [rate] * steps, decay, [1.0] * steps) / mu_most


def published_sigma(
    epsilon: float, delta_most: float, radius: float, clip: float, rate: float, decay: float, steps: int
) -> float | None:
    """The closed forms of the paper, for comparison; None where they are not stated.

    They hold for epsilon <= 3 ln(1/delta) and, with decay, gamma lambda > 1/2. The authors' program divides the form
    without decay by twice too much (its own limit as lambda goes to 0 has sqrt(2) more noise); that is not used here.
    """
    rate_decay, tail = rate * decay, log(1 / delta_most)
    if epsilon > 3 * tail or 0 < rate_decay <= 0.5 or rate_decay >= 1:
        return None
    if decay == 0:
        return 3 * sqrt(tail) * (radius + clip * rate * steps) / (epsilon * sqrt(steps))
    return sqrt(72 * rate_decay * tail) * (radius * (1 - rate_decay) ** steps + clip / decay) / epsilon


def _gap(radius: float, clip: float, rates: Sequence[float], decay: float) -> tuple[float, list[float]]:
    """The largest distance between two runs' means at the end, and what is left there of each step's noise."""
    shrink = [1 - rate * decay for rate in rates]
    if not rates or any(not 0 <= q <= 1 for q in shrink):
        raise InvalidParameter(f"rate x decay must lie in [0, 1] at every step, got decay {decay} and rates {rates}")
    weights = [prod(shrink[t + 1 :]) for t in range(len(shrink))]
    gap = 2 * radius * prod(shrink) + sum(2 * rate * clip * w for rate, w in zip(rates, weights, strict=True))
    return gap, weights


def _phi(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))
