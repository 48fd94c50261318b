"""MUSE's privacy leakage: how far membership of the forgotten lies from that in a retrained model, in percent."""

import math

from expunge.core.errors import InvalidParameter, TooFewSamples


def privleak(auc_unlearned: float, auc_retrained: float | None) -> float:
    """100 (A(unlearned) - A(retrained)) / A(retrained), with A = 1 - AUC.

    Source: Shi et al. (2024), MUSE, arXiv:2407.06460, Sec. 3.1, forgotten against held-out texts.
    Sign: here, as everywhere in this package, AUC is P(member scores above non-member) and 1 means that members are plain to
    see. MUSE publishes the other AUC, 1 - ours, and divides by it; so the two given here are turned before the division.
    Means: near 0 as in the retrained model; far below 0 members are still visible; far above 0 they look less familiar
    than strangers, which gives them away as well.

    Raises: TooFewSamples without a retrained model's AUC (0.5 is no substitute: with shifted texts a retrained model's lies
    elsewhere); InvalidParameter outside [0, 1], or where the retrained model's is 1 and the ratio does not exist.

    >>> round(privleak(0.9991, 0.5228), 1)  # MUSE-News, untouched model, Min-40%
    -99.8
    """
    if auc_retrained is None:
        raise TooFewSamples(
            "privacy leakage needs a retrained model's AUC, none was given; train one without the data, or report the AUC alone"
        )
    for name, value in (("auc_unlearned", auc_unlearned), ("auc_retrained", auc_retrained)):
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise InvalidParameter(f"{name} must lie in [0, 1], got {value}")
    if auc_retrained == 1:
        raise InvalidParameter(
            "auc_retrained is 1: the retrained model tells all members apart, so there is no ratio to it"
        )
    reference = 1 - auc_retrained
    return 100 * ((1 - auc_unlearned) - reference) / reference
