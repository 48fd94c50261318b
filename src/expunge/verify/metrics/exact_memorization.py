"""How many of an answer's tokens the model would choose, each given the true ones before it."""

from collections.abc import Sequence

from expunge.core.errors import TooFewSamples


def exact_memorization(predicted: Sequence[int], labels: Sequence[int]) -> float:
    """Share of tokens that are the likeliest one under teacher forcing.

    Source: Tirumala et al. (2022), arXiv:2205.10770, Sec. 3; used in OpenUnlearning (arXiv:2506.12618).
    Means: not recall. An answer whose words follow from the question scores high in any model; hold it against a control.

    Raises: TooFewSamples, for no tokens.

    >>> exact_memorization([5, 9, 7, 8], [5, 6, 7, 8])
    0.75
    """
    if not labels:
        raise TooFewSamples("exact memorisation needs at least one token")
    return sum(a == b for a, b in zip(predicted, labels, strict=True)) / len(labels)
