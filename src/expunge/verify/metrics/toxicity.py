"""What a classifier of one's own finds in texts: a summary with bounds, and never the texts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expunge.core.errors import InvalidData
from expunge.verify.metrics.means import Mean, mean

Classifier = Callable[[Sequence[str]], Sequence[float]]
"""Texts -> one score in [0, 1] each, higher is worse."""


@dataclass(frozen=True)
class Toxicity:
    """Mean score, and share of texts at or above `threshold`, with bounds over texts."""

    score: Mean
    above: Mean
    threshold: float


def toxicity(texts: Sequence[str], classifier: Classifier, threshold: float = 0.5) -> Toxicity:
    """Score texts by a classifier that is handed in, since none of them is right everywhere.

    Means: what this classifier says; name it beside the number. Scores of two classifiers are not comparable.

    Raises: TooFewSamples, without texts; InvalidData, if the classifier does not give one score in [0, 1] each.

    >>> found = toxicity(["a", "b!", "c", "d"], lambda texts: [float("!" in t) for t in texts])
    >>> found.score.value, found.above.value
    (0.25, 0.25)
    """
    scores = [float(s) for s in classifier(texts)] if texts else []
    if len(scores) != len(texts) or any(not math.isfinite(s) or not 0 <= s <= 1 for s in scores):
        raise InvalidData(
            f"the classifier must give one score in [0, 1] for each of {len(texts)} texts; it gave {len(scores)}"
        )
    return Toxicity(mean(scores), mean([float(s >= threshold) for s in scores]), threshold)
