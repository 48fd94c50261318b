"""How much of an answer a model would continue word for word, from its teacher-forced guesses."""

from collections.abc import Sequence

from expunge.core.errors import TooFewSamples


def extraction_strength(guessed_N: Sequence[int], labels_N: Sequence[int]) -> float:
    """1 - k/n, for the smallest k such that from position k on every guess is right; 0 where the last one is wrong.

    Source: Carlini et al. (2021), arXiv:2012.07805; as a metric of unlearning OpenUnlearning, arXiv:2506.12618.
    Shapes: N token ids, the most likely ones given the true answer so far, and the answer's own.
    Differs from that code, whose loop ends at k = n - 1, so that an answer of which nothing matches scores 1/n.

    Raises: TooFewSamples, for an empty answer.

    >>> extraction_strength([9, 9, 3, 4], [1, 2, 3, 4]), extraction_strength([9], [1])
    (0.5, 0.0)
    """
    n = _length(guessed_N, labels_N)
    right = 0
    while right < n and guessed_N[n - 1 - right] == labels_N[n - 1 - right]:
        right += 1
    return right / n


def exact_memorisation(guessed_N: Sequence[int], labels_N: Sequence[int]) -> float:
    """Share of positions at which the most likely token is the answer's own.

    Source: Tirumala et al. (2022), arXiv:2205.10770, Sec. 2.

    Raises: TooFewSamples, for an empty answer.

    >>> exact_memorisation([1, 9, 3, 4], [1, 2, 3, 4])
    0.75
    """
    n = _length(guessed_N, labels_N)
    return sum(guess == label for guess, label in zip(guessed_N, labels_N, strict=True)) / n


def _length(guessed_N: Sequence[int], labels_N: Sequence[int]) -> int:
    if not labels_N or len(guessed_N) != len(labels_N):
        raise TooFewSamples(f"needs one guess for each token of an answer, got {len(guessed_N)} for {len(labels_N)}")
    return len(labels_N)
