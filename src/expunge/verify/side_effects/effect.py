"""One number on three arms, and what unlearning changed in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.means import Mean, difference, mean, ratio

BESIDE = ("control", "original")  # what the unlearned arm is compared with: the first of these that is there


@dataclass(frozen=True, kw_only=True)
class Effect:
    """`change` is unlearned - `beside`, row by row, and `relative` their ratio where that makes sense.

    `beside` is the control, or the original where there is no control: then what a retraining loses anyway counts too.
    What could not be measured is None, and `reason` says why. `means` says how to read it.
    """

    name: str
    means: str
    arms: Mapping[str, Mean]
    change: Mean | None = None
    relative: Mean | None = None
    beside: str = ""
    reason: str = ""


def effect(
    name: str,
    means: str,
    scores: Mapping[str, Sequence[float]],
    units: Sequence[str],
    relative: bool = False,
    share: bool = True,
) -> Effect:
    """An effect from one score per row and arm; arms whose scores are no numbers give a reason instead of a number.

    `share`: the scores lie in [0, 1]. `relative`: say also what part of the other arm's is left.
    """
    arms: dict[str, Mean] = {}
    reasons = []
    for arm, values in scores.items():
        try:
            arms[arm] = mean(values, units, share)
        except TooFewSamples as e:
            reasons.append(f"{arm}: {e}")
    beside = next((arm for arm in BESIDE if arm in scores), "")
    if not {"unlearned", beside} <= set(arms):
        return Effect(
            name=name,
            means=means,
            arms=arms,
            beside=beside,
            reason="; ".join(reasons) or "no other arm to compare with",
        )
    new, old = scores["unlearned"], scores[beside]
    left = None
    if relative:
        try:
            left = ratio(new, old, units)
        except TooFewSamples as e:
            reasons.append(f"{beside}: {e}")
    return Effect(
        name=name,
        means=means,
        arms=arms,
        change=difference(new, old, units, share),
        relative=left,
        beside=beside,
        reason="; ".join(reasons),
    )


def not_measured(name: str, means: str, reason: str) -> Effect:
    return Effect(name=name, means=means, arms={}, reason=reason)
