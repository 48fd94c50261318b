"""A lower bound on epsilon that holds: what an audit has shown, how many trials it rests on, and the most it could show.

No estimate of epsilon is offered: the published one of the NeurIPS 2023 competition, which takes the best of thousands of
thresholds on the sample that it judges, gives more than 1 for two equal distributions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from expunge.core.errors import InvalidParameter, TooFewSamples

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]
_GRID = 64


@dataclass(frozen=True)
class EpsilonBound:
    """`epsilon` is a lower bound at `confidence`; `ceiling` is what a faultless attack with as many trials would give."""

    epsilon: float
    ceiling: float
    n: int  # trials it rests on: guesses, or judged models per side
    delta: float
    confidence: float

    def __str__(self) -> str:
        return (
            f"epsilon >= {self.epsilon:.2f} (lower bound, {self.confidence:.0%}, delta {self.delta:g}, n = {self.n}, "
            f"at most {self.ceiling:.2f} could have been shown)"
        )


def epsilon_lower_bound(
    n_correct: int, n_guesses: int, n_canaries: int, delta: float = 1e-5, confidence: float = 0.95
) -> EpsilonBound:
    """From right guesses about canaries that were each included with probability 1/2: the one-run audit.

    Source: Steinke, Nasr, Jagielski (2023), arXiv:2305.08846, Corollary 5.4 and Appendix D.
    Means: if training was (epsilon, delta)-DP for an epsilon below the bound, so many right guesses had probability
    below 1 - confidence. It holds for any guesses that did not look at who was included, and only if their number was
    fixed before (or is corrected for, as `audit_canaries` does).
    Differs from Appendix D, which bisects: here the *first* epsilon that is not rejected counts, so the bound also holds
    where the p-value is not monotone.

    Raises: InvalidParameter, unless 0 <= n_correct <= n_guesses <= n_canaries.

    >>> print(epsilon_lower_bound(140, 200, 200))
    epsilon >= 0.58 (lower bound, 95%, delta 1e-05, n = 200, at most 4.19 could have been shown)
    """
    _check_rates(delta, confidence)
    if not 0 <= n_correct <= n_guesses <= n_canaries or n_canaries < 1:
        raise InvalidParameter(f"need 0 <= right <= guesses <= canaries, got {n_correct}, {n_guesses} and {n_canaries}")

    shown, ceiling = (
        _first_kept(right, n_guesses, n_canaries, delta, 1 - confidence) for right in (n_correct, n_guesses)
    )
    return EpsilonBound(shown, ceiling, n_guesses, delta, confidence)


def guesses_p_value(n_correct: int, n_guesses: int, n_canaries: int, epsilon: float, delta: float) -> float:
    """How likely at least so many right guesses are under (epsilon, delta)-DP, at most.

    Under pure epsilon-DP each guess is right with probability at most q = e^eps / (1 + e^eps), whatever the others, so the
    count is below W ~ Binomial(guesses, q) in stochastic order. Delta lets F further guesses be right for free, with
    E[F] <= 2 delta canaries. P(W + F >= v) <= P(W >= v) + E[P(v > W >= v - F)], and P(v > W >= v - i) <= i alpha for
    alpha = max_i P(v > W >= v - i) / i; together P(W >= v) + 2 delta canaries alpha.

    >>> guesses_p_value(10, 10, 10, epsilon=0.0, delta=0.0) == 0.5**10
    True
    """
    q = 1 / (1 + np.exp(-epsilon))
    p = float(binom.sf(n_correct - 1, n_guesses, q))
    if delta and n_correct:
        just_below = np.cumsum(binom.pmf(np.arange(n_correct - 1, -1, -1), n_guesses, q))
        p += 2 * n_canaries * delta * float((just_below / np.arange(1, n_correct + 1)).max())
    return min(p, 1.0)


def epsilon_from_errors(
    false_positives: int,
    n_negatives: int,
    false_negatives: int,
    n_positives: int,
    delta: float,
    confidence: float = 0.95,
) -> EpsilonBound:
    """From the errors of a test, fixed before, that tells unlearned models from models that never saw the data.

    (epsilon, delta)-unlearning means FPR + e^eps FNR >= 1 - delta, and the same with the two exchanged. Both rates enter
    with Clopper–Pearson upper bounds that hold together at `confidence`.

    Raises: TooFewSamples, InvalidParameter.

    >>> [round(epsilon_from_errors(0, n, 0, n, delta=0.0).epsilon, 2) for n in (16, 64, 256, 512)]
    [1.35, 2.82, 4.23, 4.93]
    """
    _check_rates(delta, confidence)
    if min(n_negatives, n_positives) < 1:
        raise TooFewSamples(
            f"needs models on both sides, got {n_positives} unlearned and {n_negatives} that never saw it"
        )
    if not (0 <= false_positives <= n_negatives and 0 <= false_negatives <= n_positives):
        raise InvalidParameter("more errors than models")

    found, ceiling = (
        float(_bounded(np.array(fp), n_negatives, np.array(fn), n_positives, delta, confidence))
        for fp, fn in ((false_positives, false_negatives), (0, 0))
    )
    return EpsilonBound(found, ceiling, min(n_negatives, n_positives), delta, confidence)


def epsilon_from_models(
    unlearned_M: Floats, retrained_M: Floats, delta: float = 1e-5, confidence: float = 0.95
) -> EpsilonBound:
    """From one example's confidence under many unlearned and many retrained models: the threshold is chosen on every
    second model of each side and judged on the others.

    Source: the two-sided estimator of the NeurIPS 2023 unlearning competition (arXiv:2406.09073), made honest by the
    split and by Clopper–Pearson. `n` is the number of models per side that judge. Power is low: see `ceiling`.

    Raises: TooFewSamples, below four models a side.
    """
    if min(len(unlearned_M), len(retrained_M)) < 4:
        raise TooFewSamples(f"needs at least 4 models a side, got {len(unlearned_M)} and {len(retrained_M)}")
    if not (np.isfinite(unlearned_M).all() and np.isfinite(retrained_M).all()):
        raise InvalidParameter("a confidence is not a number")

    first, second = (unlearned_M[::2], retrained_M[::2]), (unlearned_M[1::2], retrained_M[1::2])
    values = np.unique(np.concatenate(first))
    thresholds = (values[:-1] + values[1:]) / 2 if len(values) > 1 else values
    rules = [(sign, float(at)) for at in thresholds for sign in (1, -1)]
    missed, accused = np.array([_errors(rule, *first) for rule in rules]).T
    shown = _bounded(accused, len(first[1]), missed, len(first[0]), delta, confidence)
    missed_then, accused_then = _errors(rules[int(shown.argmax())], *second)
    return epsilon_from_errors(accused_then, len(second[1]), missed_then, len(second[0]), delta, confidence)


def _errors(rule: tuple[int, float], unlearned_M: Floats, retrained_M: Floats) -> tuple[int, int]:
    """Unlearned models missed and retrained ones accused by "unlearned above the threshold", or below for sign -1."""
    sign, threshold = rule
    missed, accused = sign * unlearned_M <= sign * threshold, sign * retrained_M > sign * threshold
    return int(missed.sum()), int(accused.sum())


def _bounded(fp: Counts, n: int, fn: Counts, m: int, delta: float, confidence: float) -> Floats:
    """Lower bound on epsilon from `fp` errors in `n` negatives and `fn` in `m` positives."""
    fpr, fnr = _upper(fp, n, confidence), _upper(fn, m, confidence)
    ratio = np.maximum((1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr)
    return np.asarray(np.log(np.maximum(1.0, ratio)), dtype=np.float64)


@lru_cache(maxsize=4096)
def _first_kept(n_correct: int, n_guesses: int, n_canaries: int, delta: float, alpha: float) -> float:
    """The first epsilon at which the p-value reaches alpha; 0 if no epsilon is rejected."""

    def kept(epsilon: float) -> bool:
        return guesses_p_value(n_correct, n_guesses, n_canaries, epsilon, delta) >= alpha

    if kept(0.0):
        return 0.0
    high = 1.0
    while not kept(high):
        high *= 2
    grid: Sequence[float] = np.linspace(0, high, _GRID + 1).tolist()
    at = next(i for i, e in enumerate(grid) if kept(e))
    low, high = grid[at - 1], grid[at]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if kept(middle) else (middle, high)
    return low


def _upper(errors: Counts, n: int, confidence: float) -> Floats:
    """Clopper–Pearson upper bound at half the allowed error, so that two of them hold together."""
    level = 1 - (1 - confidence) / 2
    return np.asarray(
        np.where(errors >= n, 1.0, beta.ppf(level, errors + 1, np.maximum(n - errors, 1))), dtype=np.float64
    )


def _check_rates(delta: float, confidence: float) -> None:
    if not 0 <= delta < 1 or not 0 < confidence < 1:
        raise InvalidParameter(f"need 0 <= delta < 1 and 0 < confidence < 1, got {delta} and {confidence}")
