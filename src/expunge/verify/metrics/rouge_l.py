"""How much of a reference answer appears, in order, in what the model said."""

import re


def rouge_l_recall(said: str, reference: str) -> float:
    """Longest common subsequence of words over the reference's number of words.

    Source: Lin (2004), ROUGE, Sec. 3.1. Words are lower-cased runs of letters and digits, without stemming.

    >>> rouge_l_recall("She was born in Brimford, I think", "Born in Brimford.")
    1.0
    """
    a, b = _words(said), _words(reference)
    if not b:
        return 0.0
    row = [0] * (len(a) + 1)
    for word in b:
        left_above = 0
        for j, other in enumerate(a, start=1):
            above = row[j]
            row[j] = left_above + 1 if word == other else max(above, row[j - 1])
            left_above = above
    return row[-1] / len(b)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())
