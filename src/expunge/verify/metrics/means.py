"""Means of scores, and their differences and ratios between two models, with bounds over what may be drawn again.

Bounds are one-sided 95 % each way, by a bootstrap over units: facts, or people where one person's rows go together;
never over tokens. Two models are compared on the same rows, so their noise is shared. Scores that are all 0 or all 1
take exact binomial bounds, since a bootstrap of them has no width.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import TooFewSamples
from expunge.verify.statistics import LEVEL, bootstrap_weights, exact_bounds, few_people


@dataclass(frozen=True)
class Mean:
    """A number with its bounds, from `n` rows of `units` units. No bounds where there is but one unit."""

    value: float
    low: float | None
    high: float | None
    n: int
    units: int


def mean(scores: Sequence[float], units: Sequence[Hashable] | None = None) -> Mean:
    """Mean of the rows.

    Raises: TooFewSamples, without rows, or where a score is not a number.

    >>> mean([0.0] * 29).high < 0.1, mean([0.2, 0.4, 0.6, 0.8]).value
    (True, 0.5)
    """
    values_N, owner_N, n_units = _rows(scores, units)
    value = float(values_N.mean())
    if n_units < 2:
        return Mean(value, None, None, len(values_N), n_units)
    if set(scores) in ({0.0}, {1.0}):
        low, high = exact_bounds(value * n_units, n_units)
    else:
        low, high = _bounds(value, bootstrap_weights(owner_N) @ values_N, n_units)
    return Mean(value, low, high, len(values_N), n_units)


def difference(new: Sequence[float], old: Sequence[float], units: Sequence[Hashable] | None = None) -> Mean:
    """Mean of new - old, row by row. Where both are all 0 or all 1, bounds come from those of either side.

    Raises: TooFewSamples, without rows, or where a score is not a number.

    >>> found = difference([0.9, 0.8, 1.0, 0.7], [0.5, 0.5, 0.5, 0.5])
    >>> round(found.value, 2), found.low > 0
    (0.35, True)
    """
    _same_rows(new, old)
    found = mean([a - b for a, b in zip(new, old, strict=True)], units)
    a, b = mean(new, units), mean(old, units)
    if None not in (a.low, b.low) and all(set(side) in ({0.0}, {1.0}) for side in (new, old)):
        low, high = a.low - b.high, a.high - b.low  # type: ignore[operator]
        return Mean(found.value, low, high, found.n, found.units)
    return found


def ratio(new: Sequence[float], old: Sequence[float], units: Sequence[Hashable] | None = None) -> Mean:
    """Mean of new over mean of old, on the same rows. 1: as good as the other.

    Raises: TooFewSamples, without rows, where a score is not a number, or where the old mean is 0.

    >>> ratio([1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]).value
    0.75
    """
    _same_rows(new, old)
    (a_N, owner_N, n_units), (b_N, _, _) = _rows(new, units), _rows(old, units)
    if not b_N.sum() > 0:
        raise TooFewSamples("a ratio needs a model to compare with that gets something right; its mean is 0")
    value = float(a_N.sum() / b_N.sum())
    if n_units < 2:
        return Mean(value, None, None, len(a_N), n_units)
    if set(new) in ({0.0}, {1.0}) and set(old) == {1.0}:
        low, high = exact_bounds(value * n_units, n_units)
    else:
        weights_BN = bootstrap_weights(owner_N)
        low, high = _bounds(value, (weights_BN @ a_N) / np.maximum(weights_BN @ b_N, 1e-12), n_units)
    return Mean(value, low, high, len(a_N), n_units)


def _rows(
    scores: Sequence[float], units: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], list[int], int]:
    """Scores, the number of each one's unit, and how many units there are."""
    values = np.asarray(scores, dtype=np.float64)
    if not len(values) or not bool(np.isfinite(values).all()):
        bad = int((~np.isfinite(values)).sum())
        raise TooFewSamples(f"a mean needs scores that are numbers, got {len(values)} of which {bad} are not")
    names = list(range(len(values))) if units is None else list(units)
    if len(names) != len(values):
        raise TooFewSamples(f"needs one unit for each of {len(values)} scores, got {len(names)}")
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return values, [place[name] for name in names], len(place)


def _same_rows(new: Sequence[float], old: Sequence[float]) -> None:
    if len(new) != len(old):
        raise TooFewSamples(f"two models are compared on the same rows, got {len(new)} and {len(old)}")


def _bounds(value: float, replicates_B: NDArray[np.float64], n_units: int) -> tuple[float, float]:
    """Quantiles, further from the value where units are few: a bootstrap of few is too narrow."""
    widen = few_people(n_units)
    low, high = (float(np.quantile(replicates_B, q)) for q in (1 - LEVEL, LEVEL))
    return value + widen * min(low - value, 0.0), value + widen * max(high - value, 0.0)
