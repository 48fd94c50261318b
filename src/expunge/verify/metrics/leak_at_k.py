"""leak@k: how much of a fact comes out if a question is asked k times."""

from collections.abc import Sequence
from math import comb, expm1, log1p

from expunge.core.errors import TooFewSamples


def leak_at_k(scores: Sequence[float], k: int) -> float:
    """Expected best of k answers, drawn without replacement from the n that were sampled: unbiased for k fresh answers.

    For answers that are right or wrong this is 1 - C(n - c, k) / C(n, k), with c right ones among n.
    Source: leak@k (arXiv:2511.04934); the estimator is that of pass@k (Chen et al. 2021, arXiv:2107.03374, Eq. 1), here for
    scores in [0, 1] as well.

    Raises: TooFewSamples, for k below 1 or above the number of answers.

    >>> leak_at_k([1, 0, 0, 0], k=1), leak_at_k([1, 0, 0, 0], k=2)
    (0.25, 0.5)
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise TooFewSamples(f"leak@{k} needs 1 <= k <= the number of sampled answers, which is {n}")
    # The i-th smallest is the best of those C(i, k - 1) draws whose other members are among the i smaller ones.
    return sum(score * comb(i, k - 1) for i, score in enumerate(sorted(scores))) / comb(n, k)


def leak_from_probability(p: float, k: int) -> float:
    """1 - (1 - p)^k: the chance that at least one of k answers says what each says with probability p.

    >>> leak_from_probability(0.5, k=2)
    0.75
    """
    return 1.0 if p >= 1 else -expm1(k * log1p(-p))


def above_floor(leak: float, floor: float) -> float:
    """What is left of a leak when chance alone gives `floor`; 0 at the floor or below, 1 for what always leaks.

    A model that is honestly unsure says every value now and then, the right one too: among 20 equally likely values one in
    64 answers is right with probability 0.96. Only what the right one gains over wrong ones is knowledge.

    >>> above_floor(0.96, 0.96), above_floor(0.75, 0.5)
    (0.0, 0.5)
    """
    return max(0.0, leak - floor) / (1 - floor) if floor < 1 else 0.0
