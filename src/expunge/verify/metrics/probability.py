"""How likely an answer is, whatever its length, alone or among the answers to choose from."""

import math
from collections.abc import Sequence

from expunge.core.errors import TooFewSamples


def probability(logp_T: Sequence[float]) -> float:
    """P(answer | question)^(1/T): e to the mean log-probability of its T tokens, in [0, 1].

    Source: Maini et al. (2024), TOFU, arXiv:2401.06121; the end of text counts as a token, as in its code.

    Raises: TooFewSamples, for an answer of no tokens.

    >>> round(probability([math.log(0.5), math.log(0.125)]), 9)
    0.25
    """
    if not len(logp_T):
        raise TooFewSamples("the probability of an answer needs at least one token")
    return math.exp(math.fsum(logp_T) / len(logp_T))


def share_of_options(right: float, wrong_K: Sequence[float]) -> float:
    """P(right answer) among all K + 1 options, each by its length-normalised `probability`.

    Source: TOFU, arXiv:2401.06121, for real authors and world facts, where wrong answers are given. 1/(K + 1) is chance.
    Means: nothing where every option is impossible to the model; that is NaN, never a number.

    >>> share_of_options(0.2, [0.1, 0.1])
    0.5
    """
    total = right + math.fsum(wrong_K)
    return right / total if total else math.nan
