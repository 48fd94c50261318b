"""Retained skill beside a control's: what an unlearned model still answers of what should have stayed.

The estimate and its upper bound. Two trainings by one recipe differ as well, by more the fewer facts are asked; the bound
says how much of a loss that can be.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expunge.verify.judgement import Skill
from expunge.verify.statistics import few_people, owners
from expunge.verify.thresholds import CONTRAST, LEVEL, N_BOOT


def skill(
    unlearned: Sequence[float], reference: Sequence[float], people: Sequence[str], least: float = CONTRAST
) -> Skill | None:
    """Retained skill of an arm over the reference's, fact by fact; `people[i]` is whose fact i is.

    None where either is missing or not finite, or the reference's mean is below `least`: of what it never knew, nothing can
    be lost. The bound resamples facts and people, pairs the arms, and is the wider of the two.

    >>> one_of_three = skill([0, 0, 1, 1, 1, 1], [1] * 6, ["a", "a", "b", "b", "c", "c"])
    >>> round(one_of_three.share, 2), one_of_three.high > 0.9  # that one person was badly learned may be chance
    (0.67, True)
    >>> skill([1.0], [0.1], ["a"]) is None
    True
    """
    if not unlearned or not len(unlearned) == len(reference) == len(people):
        return None
    own, other = (np.asarray(side, dtype=np.float64) for side in (unlearned, reference))
    if not other.mean() >= max(least, 1e-9) or not math.isfinite(share := float(own.mean() / other.mean())):
        return None
    return Skill(share, max(_high(own, other, by) for by in (range(len(own)), owners(people))))


def _high(own: NDArray[np.float64], other: NDArray[np.float64], groups: Sequence[object]) -> float:
    """Upper bound of the ratio of sums by a bootstrap of groups; groups that scored alike are drawn as one kind."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    n = int(member.max()) + 1
    sums = np.stack([np.bincount(member, weights=side) for side in (own, other)], axis=1)
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=N_BOOT) @ kinds
    share, widen = own.sum() / other.sum(), few_people(n) if n > 1 else 1.0
    high = float(np.quantile(drawn[:, 0] / np.maximum(drawn[:, 1], 1e-9), LEVEL))
    return float(share + widen * max(high - share, 0.0))
