"""Whether a model's confidence is worth its number: of what it holds for 70 % likely, 70 % should be right."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expunge.core.errors import TooFewSamples

BINS = 15


def expected_calibration_error(confidence_N: Sequence[float], right_N: Sequence[bool], bins: int = BINS) -> float:
    """Sum over bins of equal width of (share of guesses in it) * |share right - mean confidence|.

    Source: Guo et al. (2017), arXiv:1706.04599, Eq. 3. Shapes: N guesses, the probability of each and whether it is right.
    Means: 0, calibrated in every bin. Of few guesses it is biased upwards; compare arms on the same ones.

    Raises: TooFewSamples, without guesses or where a confidence is no probability.

    >>> round(expected_calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False], bins=10), 3)
    0.1
    """
    gaps_NK, ones_N = binned_gaps(confidence_N, right_N, bins), np.ones(len(confidence_N))
    return float(weighted_error(gaps_NK, ones_N, np.ones((1, len(confidence_N))))[0])


def binned_gaps(confidence_N: Sequence[float], right_N: Sequence[bool], bins: int = BINS) -> NDArray[np.float64]:
    """Each guess's (right - confidence) in the column of its bin, [N, K]; bins are (0, 1/K], …, ((K-1)/K, 1]."""
    confidence, right = np.asarray(confidence_N, dtype=np.float64), np.asarray(right_N, dtype=np.float64)
    if not len(confidence) or not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise TooFewSamples(
            f"calibration needs probabilities in [0, 1], got {len(confidence)} guesses that are not all so"
        )
    column = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.zeros((len(confidence), bins))
    gaps[np.arange(len(confidence)), column] = right - confidence
    return gaps


def weighted_error(
    gaps_RK: NDArray[np.float64], guesses_R: NDArray[np.float64], weights_BR: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The error in each sample of a bootstrap, [B], of R rows that hold sums of gaps by bin and counts of guesses."""
    total = np.asarray(weights_BR @ guesses_R, dtype=np.float64)
    return np.asarray(np.abs(weights_BR @ gaps_RK).sum(axis=1) / total, dtype=np.float64)
