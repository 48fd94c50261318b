"""TOFU's model utility: nine numbers about what should stay, as one that is low as soon as any of them is."""

import math
from collections.abc import Sequence

from scipy.stats import hmean

from expunge.core.errors import InvalidParameter

SETS = ("retain", "real_authors", "world_facts")
MEASURES = ("probability", "rouge", "truth_ratio")


def model_utility(values: Sequence[float]) -> float:
    """Harmonic mean of probability, ROUGE-L recall and truth ratio on retained authors, real authors and world facts.

    Source: Maini et al. (2024), TOFU, arXiv:2401.06121. In [0, 1]; 0 where any of the nine is 0.

    Raises: InvalidParameter, unless there are nine values in [0, 1].

    >>> model_utility([0.5] * 9), round(model_utility([1.0] * 8 + [0.1]), 3), model_utility([1.0] * 8 + [0.0])
    (0.5, 0.5, 0.0)
    """
    n = len(SETS) * len(MEASURES)
    if len(values) != n or not all(math.isfinite(v) and 0 <= v <= 1 for v in values):
        raise InvalidParameter(f"model utility is of {n} numbers in [0, 1], got {[round(float(v), 4) for v in values]}")
    return float(hmean(values)) if min(values) > 0 else 0.0
