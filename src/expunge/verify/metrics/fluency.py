"""How varied a text is: a model that falls into repeating itself says few different pairs and triples of words."""

import math
import re
from collections import Counter
from collections.abc import Sequence

WEIGHTS = {2: 2 / 3, 3: 4 / 3}  # n -> weight


def ngram_entropy(text: str) -> float:
    """Mean of the weighted entropies of a text's word pairs (2/3) and triples (4/3).

    Source: Zhang et al. (2018), arXiv:1809.05972, as weighted by ROME (Meng et al. 2022, arXiv:2202.05262) and used by
    RWKU (Jin et al. 2024, arXiv:2406.10890). Unit: bits. Words and single marks count; case does.
    Means: low, the text repeats itself, or is short: n words reach log2(n - 1) at most. Compare answers to the same
    questions only. A text of one word says nothing, 0.

    >>> round(ngram_entropy("a b c d e"), 4), ngram_entropy("no no no no no")
    (1.7233, 0.0)
    """
    words = words_of(text)
    return sum(weight * entropy(words, n) for n, weight in WEIGHTS.items()) / len(WEIGHTS)


def entropy(words: Sequence[str], n: int) -> float:
    """Entropy of a text's n-grams, in bits; 0 where there are none.

    >>> entropy(["a", "b", "a", "b", "c"], 2)  # ab twice, ba and bc once
    1.5
    """
    counts = Counter(ngrams(words, n))
    total = sum(counts.values())
    return sum(-c / total * math.log2(c / total) for c in counts.values()) + 0.0


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """
    >>> ngrams(["a", "b", "c"], 2)
    [('a', 'b'), ('b', 'c')]
    """
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def words_of(text: str) -> list[str]:
    """Words, and marks that are no part of one.

    >>> words_of("It's late, I think.")
    ["It's", 'late', ',', 'I', 'think', '.']
    """
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text)
