"""Does the model find wrong answers as likely as the right one? TOFU's truth ratio, which looks past the trained words."""

import math
from collections.abc import Sequence

from expunge.core.errors import InvalidParameter, TooFewSamples

MEANS = ("arithmetic", "geometric")


def truth_ratio(right_logp: float, wrong_logp_K: Sequence[float], mean: str = "arithmetic") -> float:
    """R = mean over K wrong answers of P^(1/length), over P^(1/length) of the right one in words never trained on.

    Source: Maini et al. (2024), TOFU, arXiv:2401.06121. `mean="geometric"` is what its own code and
    open-unlearning compute instead: e to the mean of log-probabilities. It is never larger, so numbers of the two kinds
    do not compare.
    Shapes: mean log-probability per token, nats, of the right answer and of each wrong one.
    Means: far below 1, the model knows the right answer; near 1, it does not tell them apart; above 1, it was pushed away.

    Raises: TooFewSamples, without wrong answers; InvalidParameter, for another kind of mean.

    >>> logs = [math.log(0.1), math.log(0.4)]
    >>> round(truth_ratio(math.log(0.5), logs), 6), round(truth_ratio(math.log(0.5), logs, mean="geometric"), 6)
    (0.5, 0.4)
    """
    if not wrong_logp_K:
        raise TooFewSamples("a truth ratio needs at least one wrong answer")
    if mean not in MEANS:
        raise InvalidParameter(f"mean must be one of {', '.join(MEANS)}, got '{mean}'")
    above = [logp - right_logp for logp in wrong_logp_K]  # as logarithms: two answers may be too unlikely for a float
    if mean == "geometric":
        return _exp(math.fsum(above) / len(above))
    return math.fsum(map(_exp, above)) / len(above)


def closeness_to_one(ratio: float) -> float:
    """min(R, 1/R), in [0, 1]: of a forgotten answer, 1 says that right and wrong are equally likely.

    >>> closeness_to_one(4.0), closeness_to_one(0.25), closeness_to_one(0.0)
    (0.25, 0.25, 0.0)
    """
    return min(ratio, 1 / ratio) if ratio else 0.0


def truthfulness(ratio: float) -> float:
    """max(0, 1 - R), in [0, 1]: of an answer that should stay, 1 says that wrong ones are impossible.

    >>> truthfulness(0.25), truthfulness(3.0)
    (0.75, 0.0)
    """
    return ratio if math.isnan(ratio) else max(0.0, 1 - ratio)


def _exp(x: float) -> float:
    return math.inf if x > 700 else math.exp(x)
