import math

import pytest

from expunge.verify.metrics.fluency import entropy, ngram_entropy, words_of


def test_it_is_the_weighted_entropy_worked_by_hand() -> None:
    # pairs: ab bc ca ab bc -> 2/5, 2/5, 1/5; triples: abc bca cab abc -> 2/4, 1/4, 1/4
    pairs = -(0.4 * math.log2(0.4) * 2 + 0.2 * math.log2(0.2))
    triples = 1.5
    assert ngram_entropy("a b c a b c") == pytest.approx((2 / 3 * pairs + 4 / 3 * triples) / 2)


def test_it_agrees_with_scipy() -> None:
    from collections import Counter

    from scipy.stats import entropy as theirs

    words = words_of("the cat saw the dog and the cat saw the bird, and the dog saw it")
    for n in (1, 2, 3):
        counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        assert entropy(words, n) == pytest.approx(theirs(list(counts.values()), base=2))


@pytest.mark.parametrize("text", ["", "one", "no no no no"])
def test_nothing_new_is_said(text: str) -> None:
    assert ngram_entropy(text) == 0.0
