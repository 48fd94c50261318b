"""Means of scores, and their differences and ratios between two models, with bounds over what may be drawn again.

Bounds are one-sided 95 % each way, by a bootstrap over units: facts, or people where one person's rows go together;
never over tokens. Two models are compared on the same rows, so their noise is shared. Shares that are all 0 or all 1 take
exact binomial bounds, since a bootstrap of them has no width; `share=False` is for nats and bits.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import TooFewSamples
from expunge.verify.statistics import bootstrap_weights, exact_bounds, few_people
from expunge.verify.thresholds import LEVEL


@dataclass(frozen=True)
class Mean:
    """A number with its bounds, from `n` rows of `units` units. No bounds where there is but one unit."""

    value: float
    low: float | None
    high: float | None
    n: int
    units: int


def mean(scores: Sequence[float], units: Sequence[Hashable] | None = None, share: bool = True) -> Mean:
    """Mean of the rows.

    Raises: TooFewSamples, without rows, or where a score is not a number.

    >>> mean([0.0] * 29).high < 0.1, mean([0.2, 0.4, 0.6, 0.8]).value
    (True, 0.5)
    """
    values_N, owner_N, n_units = _rows(scores, units)
    value = float(values_N.mean())
    if n_units < 2:
        return Mean(value, None, None, len(values_N), n_units)
    if share and set(values_N) in ({0.0}, {1.0}):
        low, high = exact_bounds(value * n_units, n_units)
    else:
        low, high = bounds(value, bootstrap_weights(owner_N) @ values_N, n_units, (0.0, 1.0) if share else None)
    return Mean(value, low, high, len(values_N), n_units)


def difference(
    new: Sequence[float], old: Sequence[float], units: Sequence[Hashable] | None = None, share: bool = True
) -> Mean:
    """Mean of new - old, row by row. Of hits and misses that differ nowhere, or everywhere, bounds are exact.

    Raises: TooFewSamples, without rows, or where a score is not a number.

    >>> found = difference([0.9, 0.8, 1.0, 0.7], [0.5, 0.5, 0.5, 0.5])
    >>> round(found.value, 2), found.low > 0
    (0.35, True)
    """
    _same_rows(new, old)
    (new_N, owner_N, n_units), (old_N, _, _) = _rows(new, units), _rows(old, units)
    apart_N = new_N - old_N
    value = float(apart_N.mean())
    if n_units < 2:
        return Mean(value, None, None, len(apart_N), n_units)
    if set(apart_N) in ({-1.0}, {0.0}, {1.0}) and {*new_N, *old_N} <= {0.0, 1.0}:
        _, width = exact_bounds(0, n_units)
        low, high = max(value - width, -1.0), min(value + width, 1.0)
    else:
        low, high = bounds(value, bootstrap_weights(owner_N) @ apart_N, n_units, (-1.0, 1.0) if share else None)
    return Mean(value, low, high, len(apart_N), n_units)


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
        low, high = bounds(value, (weights_BN @ a_N) / np.maximum(weights_BN @ b_N, 1e-12), n_units)
    return Mean(value, low, high, len(a_N), n_units)


def _rows(scores: Sequence[float], units: Sequence[Hashable] | None) -> tuple[NDArray[np.float64], list[int], int]:
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


def bounds(
    value: float, replicates_B: NDArray[np.float64], n_units: int, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Quantiles, further from the value where units are few: a bootstrap of few is too narrow."""
    widen = few_people(n_units)
    low, high = (float(np.quantile(replicates_B, q)) for q in (1 - LEVEL, LEVEL))
    low, high = value + widen * min(low - value, 0.0), value + widen * max(high - value, 0.0)
    return (max(low, within[0]), min(high, within[1])) if within else (low, high)
