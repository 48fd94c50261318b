"""Two hypotheses about one example, each seen in models of its own: which explains the audited model better?"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde, norm

from expunge.core.errors import InvalidParameter, TooFewSamples

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Density = Literal["gaussian", "kde"]
GLOBAL_BELOW = 64  # models, below which examples share one variance
KDE_FROM = 10  # models per hypothesis, from which a kernel density means something


def log_likelihood_ratio(
    target_N: Floats, phi_KN: Floats, first_KN: Bools, second_KN: Bools, density: Density = "gaussian"
) -> Floats:
    """log p(target | first) - log p(target | second), per example, [N].

    `phi_KN` holds the confidence of K models in N examples; the masks say which models count for which hypothesis and
    example. "gaussian": a mean per example and hypothesis; the variance too from 64 models on, below that one variance per
    hypothesis, pooled *within* examples (Carlini et al. 2022, Sec. VI-C, "global variance"; their code takes the spread over
    all examples instead, which mixes in how much examples differ). "kde": Gaussian kernels with Scott's bandwidth.

    Raises: TooFewSamples, naming how many models each example needs; InvalidParameter, for shapes or values that do not fit.

    >>> phi = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 1.0], [3.0, 2.0]])
    >>> first = np.array([[0, 1], [0, 1], [1, 0], [1, 0]], bool)
    >>> log_likelihood_ratio(np.array([1.5, 1.5]), phi, first, ~first).round(6).tolist()
    [0.0, -16.0]
    """
    _check(target_N, phi_KN, first_KN, second_KN)
    if density == "kde":
        return _kde(target_N, phi_KN, first_KN) - _kde(target_N, phi_KN, second_KN)
    return _gaussian(target_N, phi_KN, first_KN) - _gaussian(target_N, phi_KN, second_KN)


def moments(phi_KN: Floats, mask_KN: Bools) -> tuple[Floats, Floats]:
    """Mean and standard deviation per example over the models of a mask, [N] each; the deviation is pooled below 64 models.

    Raises: TooFewSamples.
    """
    count_N = mask_KN.sum(axis=0)
    if int(count_N.min()) < 1 or int((count_N - 1).sum()) < 1:
        raise TooFewSamples(
            f"an example has {int(count_N.min())} models of one kind; each needs one at least, and some need two"
        )
    mean_N = np.where(mask_KN, phi_KN, 0.0).sum(axis=0) / count_N
    squares_N = np.where(mask_KN, (phi_KN - mean_N) ** 2, 0.0).sum(axis=0)
    if len(phi_KN) >= GLOBAL_BELOW and int(count_N.min()) >= 2:
        variance_N = squares_N / (count_N - 1)
    else:
        variance_N = np.full(len(mean_N), squares_N.sum() / (count_N - 1).sum())
    return mean_N, np.sqrt(np.maximum(variance_N, 1e-12))


def _gaussian(target_N: Floats, phi_KN: Floats, mask_KN: Bools) -> Floats:
    mean_N, sigma_N = moments(phi_KN, mask_KN)
    return np.asarray(norm.logpdf(target_N, mean_N, sigma_N), dtype=np.float64)


def _kde(target_N: Floats, phi_KN: Floats, mask_KN: Bools) -> Floats:
    if (fewest := int(mask_KN.sum(axis=0).min())) < KDE_FROM:
        raise TooFewSamples(f"a kernel density needs {KDE_FROM} models of each kind per example, got {fewest}")
    found = np.empty(len(target_N))
    for i, value in enumerate(target_N):
        sample = phi_KN[mask_KN[:, i], i]
        if np.ptp(sample) == 0:
            raise TooFewSamples(
                f"all {len(sample)} models give example {i} the same confidence; a density needs a spread"
            )
        found[i] = gaussian_kde(sample).logpdf(value)[0]
    return found


def _check(target_N: Floats, phi_KN: Floats, *masks: Bools) -> None:
    if phi_KN.ndim != 2 or target_N.shape != phi_KN.shape[1:] or any(m.shape != phi_KN.shape for m in masks):
        raise InvalidParameter(
            f"need one target confidence per example and masks as large as the confidences, got {target_N.shape}, "
            f"{phi_KN.shape} and {[m.shape for m in masks]}"
        )
    used = np.logical_or.reduce(masks)
    if not np.isfinite(target_N).all() or not np.isfinite(phi_KN[used]).all():
        raise InvalidParameter("a confidence is not a number")
    if len(masks) == 2 and bool((masks[0] & masks[1]).any()):
        raise InvalidParameter("a model counts for both hypotheses of an example")
