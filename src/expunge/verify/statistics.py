"""Recovered fractions with honest bounds: bootstraps over facts and over people, the maximum handled as a maximum, exact
counts at 0 and n.

Facts of one person are not independent: a model remembers and forgets people rather than facts. So every bound is taken
twice, resampling facts and resampling people, and the wider one counts. A bootstrap of few people is too narrow; it is
widened by sqrt(G / (G - 1)) and by Student's t with G - 1 degrees of freedom over the normal quantile.

Notation: a score matrix has one row per setting of an attack and one column per fact. An arm's score is that of its
best setting, chosen anew in every bootstrap sample and on every arm, so that the control gains from the choice as well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from expunge.verify import quantiles
from expunge.verify.thresholds import LEVEL, N_BOOT

Matrix = NDArray[np.float64]
FEW = 60  # facts below which a bootstrap is too narrow downwards as well


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

    def lost(self) -> float:
        """Facts that the original gave at its best setting and the unlearned arm did not at its own."""
        o, u = (m[m.mean(axis=1).argmax()] for m in (self.original, self.unlearned))
        return float(np.maximum(o - u, 0.0).sum())

    def contrast_low(self, draws: Sequence["Resampling"]) -> float:
        """Lower bound of original - control."""
        point = best(self.original) - best(self.control)
        lows = []
        for draw in draws:
            o = replicates(self.original, draw.weights_BN, "low")
            c = replicates(self.control, draw.weights_BN, "high")
            lows.append(point + draw.widen * (float(np.quantile(o - c, 1 - LEVEL)) - point))
        return min(lows)

    def recovered_replicates(self, weights_BN: Matrix, side: Literal["low", "high"]) -> Matrix:
        """Bootstrap of RF. Where the unlearned arm's count is 0 or n, its exact bound on that side takes its place."""
        o, c = replicates(self.original, weights_BN), replicates(self.control, weights_BN)
        u = replicates(self.unlearned, weights_BN, side)
        return (u - c) / np.maximum(o - c, 1e-9)


@dataclass(frozen=True)
class Resampling:
    """How much each fact counts in each of N_BOOT samples, [B, N], and by how much to widen what they spread."""

    weights_BN: Matrix
    widen: float = 1.0


def resamplings(people: Sequence[str], seed: int = 0) -> list[Resampling]:
    """Draws of facts, and of people where there are several: `people[i]` is whose fact i is, "" for nobody's.

    The draws are the same for every arm, so differences are paired.
    """
    facts = Resampling(bootstrap_weights(range(len(people)), seed))
    groups = owners(people)
    n_people = len(set(groups))
    if n_people in (1, len(people)):
        return [facts]
    return [facts, Resampling(bootstrap_weights(groups, seed), few_people(n_people))]


def owners(people: Sequence[str]) -> list[str]:
    """Whose each fact is; a fact that is nobody's is a person's of its own.

    >>> owners(["ann", "", "ann"])
    ['ann', 'fact 1', 'ann']
    """
    return [who or f"fact {i}" for i, who in enumerate(people)]


def bootstrap_weights(groups: Sequence[object], seed: int = 0) -> Matrix:
    """Weights of N_BOOT bootstrap samples of groups, [B, N]; all facts of a drawn group count alike.

    >>> bootstrap_weights(["a", "a", "b"]).sum(axis=1).round(12).tolist() == [1.0] * N_BOOT
    True
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(member.max()) + 1
    draws = np.random.default_rng(seed).multinomial(n_groups, [1 / n_groups] * n_groups, size=N_BOOT)
    weights = draws[:, member].astype(np.float64)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def few_people(n: int) -> float:
    """How much wider an interval over `n` people must be than their bootstrap spreads.

    >>> round(few_people(3), 2), round(few_people(10), 2), round(few_people(1000), 2)
    (2.17, 1.17, 1.0)
    """
    return math.sqrt(n / (n - 1)) * (quantiles.student(LEVEL, n - 1) / quantiles.normal(LEVEL))


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


def exact_bounds(hits: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """One-sided Clopper–Pearson bounds, each way, at 95 % if not asked otherwise. `hits` may be a sum of scores in [0, 1].

    >>> round(exact_bounds(0, 29)[1], 3), round(exact_bounds(0, 20)[1], 3)
    (0.098, 0.139)
    """
    low = 0.0 if hits <= 0 else quantiles.beta(1 - level, hits, n - hits + 1)
    high = 1.0 if hits >= n else quantiles.beta(level, hits + 1, n - hits)
    return low, high


def interval(scores_SN: Matrix, draws: Sequence[Resampling]) -> tuple[float, float]:
    """One-sided 95 % bounds, each way, of an arm's score."""
    point, lows, highs = best(scores_SN), [], []
    for draw in draws:
        low = float(np.quantile(replicates(scores_SN, draw.weights_BN, "low"), 1 - LEVEL))
        high = float(np.quantile(replicates(scores_SN, draw.weights_BN, "high"), LEVEL))
        lows.append(point + draw.widen * min(low - point, 0.0))
        highs.append(point + draw.widen * max(high - point, 0.0))
    return max(min(lows), 0.0), min(max(highs), 1.0)


def bounds_of(
    attacks: Mapping[str, Scored], draws: Sequence[Resampling], added: Sequence[str] = ()
) -> dict[str, tuple[float, float]]:
    """Bounds of each attack's RF. Those of a battery hold together, and no attack that is `added` to it widens them; those of
    an added one hold with all."""
    own = {name: scored for name, scored in attacks.items() if name not in added}
    bounds = dict(zip(own, simultaneous_bounds(list(own.values()), draws), strict=True))
    if len(own) < len(attacks):
        bounds = dict(zip(attacks, simultaneous_bounds(list(attacks.values()), draws), strict=True)) | bounds
    return bounds


def simultaneous_bounds(attacks: list[Scored], draws: Sequence[Resampling]) -> list[tuple[float, float]]:
    """Bounds of every attack's RF that hold together with 95 % on each side: max-T over centred bootstraps.

    Looking at many attacks and reporting the worst would find something in a model that never saw the data; these
    bounds pay for the looking. Each attack keeps its own scale, so a noisy one does not hide a sharp one.
    An upper bound is never below the exact one of the unlearned arm's count: a bootstrap of few hits is too narrow
    (at 60 facts it passed 14 % of models with RF = 0.10), and two arms with the same hits would leave no width at all.
    Below 60 facts a lower bound is never above that of exact counts either.
    """
    if not attacks:
        return []
    found = [_simultaneous(attacks, draw) for draw in draws]
    lows = np.min([lows for lows, _ in found], axis=0)
    if attacks[0].n_facts < FEW:
        lows = np.minimum(lows, [_exact_low(a, len(attacks)) for a in attacks])
    highs = np.maximum(np.max([highs for _, highs in found], axis=0), [_exact_high(a) for a in attacks])
    return [(float(lo), float(hi)) for lo, hi in zip(lows, highs, strict=True)]


def _simultaneous(attacks: list[Scored], draw: Resampling) -> tuple[Matrix, Matrix]:
    """The same for one way of resampling."""
    points = np.array([a.recovered() for a in attacks])
    boots = np.stack([a.recovered_replicates(draw.weights_BN, "low") for a in attacks])
    exact_high = np.stack([a.recovered_replicates(draw.weights_BN, "high") for a in attacks])
    scale = np.maximum(boots.std(axis=1), 1e-9)
    deviation = (boots - points[:, None]) / scale[:, None]
    live = scale > 1e-8  # an attack whose replicates are all equal has no spread to share
    down = np.quantile(deviation[live].max(axis=0), LEVEL) if live.any() else 0.0
    up = np.quantile((-deviation[live]).max(axis=0), LEVEL) if live.any() else 0.0
    lows = np.minimum(points - down * scale, np.quantile(boots, 1 - LEVEL, axis=1))
    highs = np.maximum(points + up * scale, np.quantile(exact_high, LEVEL, axis=1))
    lows = points + draw.widen * np.minimum(lows - points, 0.0)
    highs = points + draw.widen * np.maximum(highs - points, 0.0)
    return lows, highs


def _exact_low(attack: Scored, n_attacks: int) -> float:
    """RF from exact counts; each attack pays its share, and each of two ways to count half of it.

    From the control: the unlearned arm's hits at their lower bound over the control's at their upper. From the original:
    what the unlearned arm lost of the original's hits at its upper bound, which an untouched model of few facts needs.
    """
    o, u, c = (best(m) for m in (attack.original, attack.unlearned, attack.control))
    n, level = attack.n_facts, 1 - (1 - LEVEL) / n_attacks / 2
    gained = exact_bounds(u * n, n, level)[0] - exact_bounds(c * n, n, level)[1]
    spared = o - c - exact_bounds(attack.lost(), n, level)[1]
    return max(gained, spared) / (o - c)


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
