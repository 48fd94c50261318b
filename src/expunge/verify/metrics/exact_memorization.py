"""How many of an answer's tokens the model would choose, each given the true ones before it."""

from collections.abc import Sequence

from expunge.core.errors import TooFewSamples


def exact_memorization(predicted: Sequence[int], labels: Sequence[int]) -> float:
    """Share of tokens that are the likeliest one under teacher forcing.

    Source: Tirumala et al. (2022), arXiv:2205.10770, Sec. 3; used in OpenUnlearning (arXiv:2506.12618).
    Means: not recall. An answer whose words follow from the question scores high in any model; hold it against a control.

    Raises: TooFewSamples, for no tokens, or not one guess for each.

    >>> exact_memorization([5, 9, 7, 8], [5, 6, 7, 8])
    0.75
    """
    if not labels or len(predicted) != len(labels):
        raise TooFewSamples(f"exact memorisation needs a guess for each token, got {len(predicted)} for {len(labels)}")
    return sum(a == b for a, b in zip(predicted, labels, strict=True)) / len(labels)
