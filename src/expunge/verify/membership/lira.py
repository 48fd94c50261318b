"""LiRA: compare a model's confidence in one example with models that did, and did not, train on it.

Source: Carlini et al. (2022), arXiv:2112.03570. A population's threshold misses the examples that are easy for every model;
each example has distributions of its own here.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from expunge.verify.membership.likelihood_ratio import (
    Bools,
    Density,
    Floats,
    log_likelihood_ratio,
    moments,
)


def lira(target_N: Floats, phi_KN: Floats, included_KN: Bools, density: Density = "gaussian") -> Floats:
    """Online LiRA: log p(phi | trained on x) - log p(phi | not), per example. Higher: more likely a member.

    `phi_KN`: log-odds confidence of K shadow models in N examples, `included_KN`: which were trained on which.

    Raises: TooFewSamples, InvalidParameter.

    >>> phi = np.array([[3.0], [3.2], [0.0], [0.2]])
    >>> included = np.array([[True], [True], [False], [False]])
    >>> float(lira(np.array([3.1]), phi, included)[0]) > 0 > float(lira(np.array([0.1]), phi, included)[0])
    True
    """
    return log_likelihood_ratio(target_N, phi_KN, included_KN, ~included_KN, density)


def offline_lira(target_N: Floats, phi_KN: Floats, out_KN: Bools | None = None) -> Floats:
    """Offline LiRA: (phi - mean of the models that never saw x) / their standard deviation, per example.

    The paper's statistic is the normal distribution function of it; the order is the same, and this does not round to 1.
    `out_KN` names the models that never saw x; all of them where it is missing.

    Raises: TooFewSamples, InvalidParameter.

    >>> offline_lira(np.array([4.0]), np.array([[0.0], [2.0]])).round(4).tolist()
    [2.1213]
    """
    out_KN = np.ones(phi_KN.shape, dtype=bool) if out_KN is None else out_KN
    mean_N, sigma_N = moments(phi_KN, out_KN)
    return (target_N - mean_N) / sigma_N


def logit_confidence(logits_NC: Floats, labels_N: NDArray[np.intp]) -> Floats:
    """phi = log(p_y / (1 - p_y)) from logits: that of the true class minus the log-sum-exp of all others.

    >>> logit_confidence(np.array([[800.0, 0.0, 0.0]]), np.array([0])).round(4).tolist()  # no overflow
    [799.3069]
    """
    rows = np.arange(len(labels_N))
    others_NC = np.asarray(logits_NC, dtype=np.float64).copy()
    true_N = others_NC[rows, labels_N]
    others_NC[rows, labels_N] = -np.inf
    return np.asarray(true_N - logsumexp(others_NC, axis=1), dtype=np.float64)


def log_odds(logp_N: Floats) -> Floats:
    """phi = log(p / (1 - p)) from a log-probability, such as the mean over an answer's tokens. 1 - p is at least 1e-30.

    >>> log_odds(np.log(np.array([0.5, 0.9]))).round(4).tolist()
    [0.0, 2.1972]
    """
    return np.asarray(logp_N - np.log(np.maximum(-np.expm1(logp_N), 1e-30)), dtype=np.float64)
