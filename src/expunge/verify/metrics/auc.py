"""Area under the ROC curve: how often a member scores above a non-member."""

from collections.abc import Sequence

import numpy as np

from expunge.core.errors import TooFewSamples


def auc(members: Sequence[float], nonmembers: Sequence[float]) -> float:
    """P(member > other) + P(equal)/2, by ranks. 0.5 is chance; below 0.5 is leakage as well.

    Raises: TooFewSamples, if either side is empty.

    >>> auc([2.0, 3.0], [1.0, 2.0])
    0.875
    """
    if not members or not nonmembers:
        raise TooFewSamples(f"auc needs scores on both sides, got {len(members)} members and {len(nonmembers)} others")
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([members, nonmembers]))
    n = len(members)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * len(nonmembers)))
