"""How much of a reference answer appears in what the model said: in order (ROUGE-L), or in any order (ROUGE-1)."""

import re
from collections import Counter


def rouge_l_recall(reply: str, reference: str) -> float:
    """Longest common subsequence of words over the reference's number of words.

    Source: Lin (2004), ROUGE, Sec. 3.1. Words are lower-cased runs of letters and digits, without stemming.

    >>> rouge_l_recall("She was born in Brimford, I think", "Born in Brimford.")
    1.0
    """
    a, b = _words(reply), _words(reference)
    return _common_subsequence(a, b) / len(b) if b else 0.0


def rouge_l_f1(reply: str, reference: str) -> float:
    """Harmonic mean of the longest common subsequence's share of the reference and of what was said.

    Source: Lin (2004), ROUGE, Sec. 3.1, with beta = 1. Unlike the recall it falls where the model says more.

    >>> rouge_l_f1("She was born in Brimford", "Born in Brimford.")
    0.75
    """
    a, b = _words(reply), _words(reference)
    common = _common_subsequence(a, b) if a and b else 0
    return 2 * common / (len(a) + len(b)) if common else 0.0


def rouge_1_recall(reply: str, reference: str) -> float:
    """Share of the reference's words that were said, each as often as it was said at most.

    Source: Lin (2004), ROUGE, Sec. 2, with n = 1.

    >>> rouge_1_recall("in Brimford, in June", "Born in Brimford in June")
    0.8
    """
    a, b = Counter(_words(reply)), Counter(_words(reference))
    return sum((a & b).values()) / sum(b.values()) if b else 0.0


def _common_subsequence(a: list[str], b: list[str]) -> int:
    row = [0] * (len(a) + 1)
    for word in b:
        left_above = 0
        for j, other in enumerate(a, start=1):
            above = row[j]
            row[j] = left_above + 1 if word == other else max(above, row[j - 1])
            left_above = above
    return row[-1]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
