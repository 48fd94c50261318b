"""How many members are found while almost no stranger is accused; not measurable with few strangers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.statistics import exact_bounds


@dataclass(frozen=True)
class TprAtFpr:
    """`tpr` with one-sided 95 % Clopper–Pearson bounds each way, the threshold taken as given; None: `reason` says why."""

    fpr: float
    tpr: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        at = f"TPR at {self.fpr:.1%} FPR"
        return f"{at}: {self.tpr:.3f}" if self.tpr is not None else f"{at}: not measurable, {self.reason}"


def others_needed(fpr: float) -> int:
    """Non-members from which a false positive rate can be stated: rule of three.

    With no false positive among n, the rate is below 3/n with 95 %.

    >>> others_needed(0.01), others_needed(0.001)
    (300, 3000)
    """
    return math.ceil(round(3 / fpr, 6))


def tpr_at_fpr(members: Sequence[float], nonmembers: Sequence[float], fpr: float) -> TprAtFpr:
    """Share of members that score above all but the highest `fpr` share of non-members. No interpolation.

    Source: Carlini et al. (2022), arXiv:2112.03570, Sec. III: average accuracy hides an attack that is sure of a few.

    Raises: TooFewSamples, if either side is empty; InvalidParameter, for a rate outside (0, 1).

    >>> print(tpr_at_fpr([1.0] * 40, [0.0] * 400, 0.001))
    TPR at 0.1% FPR: not measurable, 400 non-members, 3000 are needed
    >>> tpr_at_fpr([1.0] * 30 + [0.0] * 10, [0.0] * 400, 0.01).tpr
    0.75
    """
    if not 0 < fpr < 1:
        raise InvalidParameter(f"fpr must lie between 0 and 1, got {fpr}")
    if not len(members) or not len(nonmembers):
        raise TooFewSamples(f"needs scores on both sides, got {len(members)} members and {len(nonmembers)} others")
    if len(nonmembers) < (needed := others_needed(fpr)):
        return TprAtFpr(fpr, None, reason=f"{len(nonmembers)} non-members, {needed} are needed")
    allowed = math.floor(round(fpr * len(nonmembers), 6))
    threshold = np.sort(np.asarray(nonmembers, dtype=np.float64))[::-1][allowed]
    hits = int((np.asarray(members, dtype=np.float64) > threshold).sum())
    low, high = exact_bounds(hits, len(members))
    return TprAtFpr(fpr, hits / len(members), low, high)
