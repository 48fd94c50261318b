"""How sure an AUC is, and whether two arms' AUCs are equal: bootstrap over subjects, paired, and an equivalence test.

A subject's facts succeed or fail together, so subjects are drawn and not facts; the two sides are drawn apart. The arms
share their draws: the same people are asked. What it does not show is the spread between two trainings of a control.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.auc import auc
from expunge.verify.statistics import exact_bounds

Floats = NDArray[np.float64]
N_BOOT = 2000
_BLOCK = 200  # replicates at a time, which bounds memory


@dataclass(frozen=True)
class Sample:
    """One arm's scores, and whose each is: `member_units[i]` is the subject of `members[i]`."""

    members: Sequence[float]
    others: Sequence[float]
    member_units: Sequence[str]
    other_units: Sequence[str]

    def __post_init__(self) -> None:
        for side, units in ((self.members, self.member_units), (self.others, self.other_units)):
            if len(side) != len(units):
                raise InvalidParameter(f"{len(side)} scores need as many units, got {len(units)}")
            if not len(side):
                raise TooFewSamples("an AUC needs scores on both sides")

    @property
    def n_units(self) -> int:
        """Subjects on the smaller side: what limits how sure an AUC can be."""
        return min(len(set(self.member_units)), len(set(self.other_units)))

    @property
    def auc(self) -> float:
        return auc(list(self.members), list(self.others))


@dataclass(frozen=True)
class AucInterval:
    value: float
    low: float
    high: float
    n_units: int


@dataclass(frozen=True)
class AucDifference:
    """AUC of one arm minus that of another with a two-sided 90 % interval, and whether it lies within ± margin (TOST)."""

    value: float
    low: float
    high: float
    margin: float
    n_units: int

    @property
    def equivalent(self) -> bool:
        """Both one-sided tests at 5 % reject a difference as large as the margin. False is not evidence of a difference."""
        return -self.margin < self.low and self.high < self.margin


def auc_interval(sample: Sample, level: float = 0.95, n_boot: int = N_BOOT, seed: int = 0) -> AucInterval:
    """AUC with a two-sided percentile interval of a bootstrap over subjects.

    Where every member stands above every other (or below), all replicates agree; the exact binomial bound of as many
    trials as there are subjects takes their place.

    Raises: InvalidParameter, for scores that are not numbers.

    >>> perfect = Sample([2.0] * 10, [1.0] * 10, list("abcdefghij"), list("klmnopqrst"))
    >>> found = auc_interval(perfect)
    >>> found.value, round(found.low, 2), found.high
    (1.0, 0.74, 1.0)
    """
    draws = np.concatenate(list(_replicates([sample], n_boot, seed)))[:, 0]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    if sample.auc in (0.0, 1.0):
        low, high = exact_bounds(sample.auc * sample.n_units, sample.n_units)
    return AucInterval(sample.auc, float(low), float(high), sample.n_units)


def auc_difference(
    first: Sample, second: Sample, margin: float = 0.05, n_boot: int = N_BOOT, seed: int = 0
) -> AucDifference:
    """AUC(first) - AUC(second), paired by subject, and the equivalence test of both to within `margin`.

    Source: two one-sided tests (Schuirmann 1987): equivalence at 5 % where the 90 % interval lies inside the margins.
    "No significant difference" is never shown: with few subjects everything passes it.

    Raises: InvalidParameter, if the arms were asked about different subjects.
    """
    if (list(first.member_units), list(first.other_units)) != (list(second.member_units), list(second.other_units)):
        raise InvalidParameter("a paired difference needs the same facts in the same order on both arms")
    draws = np.concatenate(list(_replicates([first, second], n_boot, seed)))
    low, high = np.quantile(draws[:, 0] - draws[:, 1], [0.05, 0.95])
    return AucDifference(first.auc - second.auc, float(low), float(high), margin, first.n_units)


def null_half_width(n_members: int, n_others: int, z: float = 1.96) -> float:
    """Half the width of an interval around AUC = 0.5 where members and others are alike: what could not be seen.

    Variance (n + m + 1) / (12 n m) of the Mann–Whitney statistic over n m.

    >>> [round(null_half_width(n, n), 3) for n in (40, 100, 200, 400, 1000)]
    [0.127, 0.08, 0.057, 0.04, 0.025]
    """
    return float(z * ((n_members + n_others + 1) / (12 * n_members * n_others)) ** 0.5)


def _replicates(samples: Sequence[Sample], n_boot: int, seed: int) -> Iterator[Floats]:
    """AUC of every sample in each replicate, [block, samples], with the same draws for all of them."""
    generator = np.random.default_rng(seed)
    first = samples[0]
    member_of, other_of = _places(first.member_units), _places(first.other_units)
    levels = [_levels(s) for s in samples]
    for done in range(0, n_boot, _BLOCK):
        size = min(_BLOCK, n_boot - done)
        members_BN = _draw(generator, member_of, size)
        others_BM = _draw(generator, other_of, size)
        yield np.stack([_weighted_auc(m, o, members_BN, others_BM) for m, o in levels], axis=1)


def _places(units: Sequence[str]) -> NDArray[np.intp]:
    """Each fact's subject as a number, by first appearance."""
    order = {unit: k for k, unit in enumerate(dict.fromkeys(units))}
    return np.array([order[u] for u in units], dtype=np.intp)


def _draw(generator: np.random.Generator, place_N: NDArray[np.intp], size: int) -> Floats:
    """How often each fact counts in each replicate, [B, N]: as often as its subject was drawn."""
    n_units = int(place_N.max()) + 1
    return generator.multinomial(n_units, [1 / n_units] * n_units, size=size)[:, place_N].astype(np.float64)


def _levels(sample: Sample) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each score's rank among all distinct scores; equal scores share one."""
    scores = np.concatenate([np.asarray(sample.members, dtype=float), np.asarray(sample.others, dtype=float)])
    if not np.isfinite(scores).all():
        raise InvalidParameter(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not numbers")
    ranks = np.unique(scores, return_inverse=True)[1]
    return ranks[: len(sample.members)], ranks[len(sample.members) :]


def _weighted_auc(member_rank: NDArray[np.intp], other_rank: NDArray[np.intp], w_BN: Floats, v_BM: Floats) -> Floats:
    """P(member > other) + P(equal)/2 where every fact counts with its weight, [B]."""
    order = np.argsort(other_rank, kind="stable")
    below_BM = np.concatenate([np.zeros((len(v_BM), 1)), np.cumsum(v_BM[:, order], axis=1)], axis=1)
    low = np.searchsorted(other_rank[order], member_rank, side="left")
    high = np.searchsorted(other_rank[order], member_rank, side="right")
    wins_B = (w_BN * (below_BM[:, low] + below_BM[:, high]) / 2).sum(axis=1)
    return np.asarray(wins_B / (w_BN.sum(axis=1) * v_BM.sum(axis=1)), dtype=np.float64)
