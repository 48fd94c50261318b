"""How little of an answer must be given for the model to say the rest."""

from collections.abc import Sequence

from expunge.core.errors import TooFewSamples


def extraction_strength(predicted: Sequence[int], labels: Sequence[int]) -> float:
    """1 - k/n, where k is the fewest first tokens after which all n - k others are the model's own choice.

    Source: Carlini et al. (2021), arXiv:2012.07805, as defined by Wang et al. (2025), arXiv:2406.09179 and used in
    OpenUnlearning (arXiv:2506.12618).
    Shapes: n tokens. `predicted` is the likeliest token at each place *given the true tokens before it*: as long as all are
    right, that is what greedy decoding says, so one pass gives every k.
    Means: 1, the question alone brings out the whole answer; 0, not even its last token follows. OpenUnlearning's loop ends
    at k = n - 1, so it gives 1/n where nothing follows, and 1 for every answer of one token; here both are 0.

    Raises: TooFewSamples, for no tokens, or not one guess for each.

    >>> extraction_strength([5, 9, 7, 8], [5, 6, 7, 8])
    0.5
    >>> extraction_strength([3], [4])
    0.0
    """
    if not labels or len(predicted) != len(labels):
        raise TooFewSamples(f"extraction strength needs a guess for each token, got {len(predicted)} for {len(labels)}")
    k = next((i for i in range(len(labels), 0, -1) if predicted[i - 1] != labels[i - 1]), 0)
    return (len(labels) - k) / len(labels)
