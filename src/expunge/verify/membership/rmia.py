"""RMIA: is this example more surprisingly likely than strangers are? Works from one model that never saw it.

Source: Zarifzadeh, Liu, Shokri (2024), arXiv:2312.03262, Sec. 3 (offline form); code of its authors: ml_privacy_meter.
"""

import numpy as np

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.membership.likelihood_ratio import Bools, Floats


def rmia(ratio_N: Floats, population_Z: Floats, gamma: float = 1.0) -> Floats:
    """Share of strangers z with r(x) / r(z) > gamma, per example; both are ratios of `probability_ratio`.

    The strangers must be out of the training data of every model, the audited one as well. An example may not be among
    its own strangers: use `rmia_among` for the strangers themselves.

    Raises: TooFewSamples, without strangers; InvalidParameter, for a gamma below 1.

    >>> rmia(np.array([2.0, 0.5]), np.array([1.0, 1.0, 3.0, 0.1])).tolist()
    [0.75, 0.25]
    """
    if not len(population_Z):
        raise TooFewSamples("RMIA compares with strangers, none were given")
    if gamma < 1:
        raise InvalidParameter(f"gamma must be >= 1, got {gamma}")
    return np.asarray(np.searchsorted(np.sort(population_Z) * gamma, ratio_N, side="left") / len(population_Z))


def rmia_among(population_Z: Floats, gamma: float = 1.0) -> Floats:
    """`rmia` of each stranger beside all the others.

    >>> rmia_among(np.array([1.0, 2.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    if len(population_Z) < 2:
        raise TooFewSamples(f"comparing strangers with each other takes two at least, got {len(population_Z)}")
    # With gamma >= 1 nobody exceeds itself, so only the denominator has to leave it out.
    n = len(population_Z)
    return rmia(population_Z, population_Z, gamma) * n / (n - 1)


def probability_ratio(p_N: Floats, outs_KN: Floats, a: float = 0.3, out_KN: Bools | None = None) -> Floats:
    """r(x) = p(x) / p_bar(x), with p_bar = ((1 + a) mean of the models that never saw x + (1 - a)) / 2, per example.

    p_bar should average over models with and without x; where only those without are at hand, the paper puts the others'
    probability on a line through 1, and `a` (0 to 1) says how far it reaches: 1 means they differ by nothing. 0.3 is the
    default of the authors' code. `out_KN` says which of K models never saw which example; all of them where it is missing.
    For answers, p is exp(mean log-probability of the tokens).

    Raises: TooFewSamples, for an example that every model saw; InvalidParameter, outside [0, 1].

    >>> probability_ratio(np.array([0.9]), np.array([[0.2], [0.4]]), a=1.0).round(4).tolist()
    [3.0]
    """
    if not 0 <= a <= 1:
        raise InvalidParameter(f"a must lie in [0, 1], got {a}")
    if not all(bool(((x >= 0) & (x <= 1)).all()) for x in (p_N, outs_KN)):
        raise InvalidParameter("RMIA takes probabilities in [0, 1]; for answers exp(mean log-probability)")
    out_KN = np.ones(outs_KN.shape, dtype=bool) if out_KN is None else out_KN
    count_N = out_KN.sum(axis=0)
    if not outs_KN.size or int(count_N.min()) < 1:
        raise TooFewSamples("an example has no model that never saw it; RMIA needs one at least")
    mean_N = np.where(out_KN, outs_KN, 0.0).sum(axis=0) / count_N
    return np.asarray(p_N / np.maximum(((1 + a) * mean_N + (1 - a)) / 2, 1e-300))
