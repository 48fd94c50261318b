"""How much of a text repeats itself."""

from expunge.verify.metrics.fluency import ngrams, words_of


def repeated_share(text: str, n: int = 3) -> float:
    """1 - different n-grams / n-grams: 0, nothing is said twice; near 1, a loop.

    Source: Welleck et al. (2020), arXiv:1908.04319, "seq-rep-n". A text shorter than n words repeats nothing, 0.

    >>> repeated_share("one two three four"), repeated_share("yes yes yes yes yes yes", n=1)
    (0.0, 0.8333333333333334)
    """
    found = ngrams(words_of(text), n)
    return 1 - len(set(found)) / len(found) if found else 0.0
