"""Recovered fractions with honest bounds: bootstrap over facts, the maximum handled as a maximum, exact counts at 0 and n.

Notation: a score matrix has one row per setting of an attack and one column per fact. An arm's score is that of its
best setting, chosen anew in every bootstrap sample and on every arm, so that the control gains from the choice as well.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Matrix = NDArray[np.float64]
LEVEL = 0.95  # one-sided
N_BOOT = 2000
CONTRAST = 0.30  # below this difference between original and control an attack says nothing


@dataclass(frozen=True)
class Scored:
    """One attack on three arms, and its bootstrap replicates."""

    original: Matrix
    unlearned: Matrix
    control: Matrix

    @property
    def n_facts(self) -> int:
        return int(self.original.shape[1])

    def recovered(self) -> float:
        """RF = (unlearned - control) / (original - control)."""
        o, u, c = (best(m) for m in (self.original, self.unlearned, self.control))
        return (u - c) / (o - c)

    def contrast_low(self, weights_BN: Matrix) -> float:
        """Lower bound of original - control."""
        o, c = replicates(self.original, weights_BN, "low"), replicates(self.control, weights_BN, "high")
        return float(np.quantile(o - c, 1 - LEVEL))

    def recovered_replicates(self, weights_BN: Matrix, side: Literal["low", "high"]) -> Matrix:
        """Bootstrap of RF. Where the unlearned arm's count is 0 or n, its exact bound on that side takes its place."""
        o, c = replicates(self.original, weights_BN), replicates(self.control, weights_BN)
        u = replicates(self.unlearned, weights_BN, side)
        return (u - c) / np.maximum(o - c, 1e-9)


def bootstrap_weights(n_facts: int, seed: int = 0) -> Matrix:
    """How much each fact counts in each of N_BOOT samples, [B, N]; the same for every arm, so differences are paired."""
    draws = np.random.default_rng(seed).multinomial(n_facts, [1 / n_facts] * n_facts, size=N_BOOT)
    return draws / n_facts


def best(scores_SN: Matrix) -> float:
    """Mean over facts at the best setting."""
    return float(scores_SN.mean(axis=1).max())


def replicates(scores_SN: Matrix, weights_BN: Matrix, side: Literal["low", "high"] | None = None) -> Matrix:
    """The best setting's mean in every bootstrap sample, [B].

    A bootstrap of 0 hits of 20 prints [0, 0]; with `side`, such a count is replaced by its exact binomial bound.
    """
    extreme = best(scores_SN)
    if side and extreme in (0.0, 1.0):
        low, high = exact_bounds(round(extreme * scores_SN.shape[1]), scores_SN.shape[1])
        return np.full(len(weights_BN), low if side == "low" else high)
    return np.asarray((weights_BN @ scores_SN.T).max(axis=1), dtype=np.float64)


def exact_bounds(hits: float, n: int) -> tuple[float, float]:
    """One-sided 95 % Clopper–Pearson bounds, each way. `hits` may be a sum of scores in [0, 1].

    >>> round(exact_bounds(0, 29)[1], 3), round(exact_bounds(0, 20)[1], 3)
    (0.098, 0.139)
    """
    low = 0.0 if hits <= 0 else float(beta.ppf(1 - LEVEL, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(LEVEL, hits + 1, n - hits))
    return low, high


def interval(scores_SN: Matrix, weights_BN: Matrix) -> tuple[float, float]:
    """One-sided 95 % bounds, each way, of an arm's score."""
    low = np.quantile(replicates(scores_SN, weights_BN, "low"), 1 - LEVEL)
    return float(low), float(np.quantile(replicates(scores_SN, weights_BN, "high"), LEVEL))


def simultaneous_bounds(attacks: list[Scored], weights_BN: Matrix) -> list[tuple[float, float]]:
    """Bounds of every attack's RF that hold together with 95 % on each side: max-T over centred bootstraps.

    Looking at many attacks and reporting the worst would find something in a model that never saw the data; these
    bounds pay for the looking. Each attack keeps its own scale, so a noisy one does not hide a sharp one.
    An upper bound is never below the exact one of the unlearned arm's count: a bootstrap of few hits is too narrow
    (at 60 facts it passed 14 % of models with RF = 0.10), and two arms with the same hits would leave no width at all.
    """
    if not attacks:
        return []
    points = np.array([a.recovered() for a in attacks])
    boots = np.stack([a.recovered_replicates(weights_BN, "low") for a in attacks])
    exact_high = np.stack([a.recovered_replicates(weights_BN, "high") for a in attacks])
    scale = np.maximum(boots.std(axis=1), 1e-9)
    deviation = (boots - points[:, None]) / scale[:, None]
    live = scale > 1e-8  # an attack whose replicates are all equal has no spread to share
    down = np.quantile(deviation[live].max(axis=0), LEVEL) if live.any() else 0.0
    up = np.quantile((-deviation[live]).max(axis=0), LEVEL) if live.any() else 0.0
    lows = np.minimum(points - down * scale, np.quantile(boots, 1 - LEVEL, axis=1))
    highs = np.maximum(points + up * scale, np.quantile(exact_high, LEVEL, axis=1))
    highs = np.maximum(highs, [_exact_high(a) for a in attacks])
    return [(float(lo), float(hi)) for lo, hi in zip(lows, highs, strict=True)]


def _exact_high(attack: Scored) -> float:
    """RF with the unlearned arm at its exact upper bound."""
    o, u, c = (best(m) for m in (attack.original, attack.unlearned, attack.control))
    return (exact_bounds(u * attack.n_facts, attack.n_facts)[1] - c) / (o - c)


def facts_needed(control: float, contrast: float, tau: float) -> int:
    """How many facts an audit needs to show RF <= tau, with power 0.8, for a model that equals the control.

    Normal approximation of two independent proportions at the control's rate, and never below 60, the count at which
    an upper bound of 0.10 beside a real control can be reached with no fact recovered at all.

    >>> facts_needed(control=0.0, contrast=1.0, tau=0.1), facts_needed(control=0.2, contrast=0.5, tau=0.1)
    (60, 792)
    """
    spread = 2 * control * (1 - control)
    needed = (1.645 + 0.842) ** 2 * spread / max(tau * contrast, 1e-6) ** 2
    return max(60, math.ceil(needed))
