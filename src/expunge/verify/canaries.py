"""The one-run audit: canaries that were planted by coin tosses, guessed afterwards from the delivered model.

Source: Steinke, Nasr, Jagielski (2023), arXiv:2305.08846. Before training a coin decides for each canary whether it goes
in. Then the model is trained, and unlearns every canary that went in. Whoever can still guess the coins has found a trace,
and the share of right guesses bounds epsilon of training and unlearning together from below: one run, no shadow models.
It costs canaries in the data, and says nothing about how much more an attack unknown here would find.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.epsilon_lower_bound import EpsilonBound, epsilon_lower_bound


@dataclass(frozen=True)
class Guesses:
    """How many of the highest scores are guessed to have been included, and how many of the lowest not; none in between."""

    top: int
    bottom: int

    def __post_init__(self) -> None:
        if min(self.top, self.bottom) < 0 or self.top + self.bottom < 1:
            raise InvalidParameter(f"need top and bottom >= 0 and at least one guess, got {self.top} and {self.bottom}")


@dataclass(frozen=True)
class CanaryAudit:
    """What the guesses of the best plan showed. `plans` were tried; the bound pays for all of them."""

    bound: EpsilonBound
    guesses: Guesses
    reversed: bool  # low scores were guessed to be the included: unlearning made them stranger than strangers
    n_correct: int
    n_canaries: int
    plans: int

    def __str__(self) -> str:
        n = self.guesses.top + self.guesses.bottom
        return (
            f"{self.bound}; {self.n_correct} of {n} guesses right about {self.n_canaries} canaries, {self.plans} plans"
        )


def plant(ids: Sequence[str], secret: bytes) -> list[bool]:
    """Which canaries go into the training data: each with probability 1/2, by a keyed hash of its id.

    The secret belongs to the auditor and is shown after the audit: whoever trains must not know which were left out, and
    whoever reads the audit can toss the coins again.

    Raises: InvalidParameter, for ids that repeat or an empty secret.

    >>> coins = plant([f"canary-{i}" for i in range(1000)], b"auditor")
    >>> sum(coins), plant(["canary-7"], b"auditor") == [coins[7]]
    (525, True)
    """
    if len(set(ids)) < len(ids):
        raise InvalidParameter(f"canary ids are not unique: {len(ids)} ids, {len(set(ids))} different ones")
    if not secret:
        raise InvalidParameter("the coins need a secret, got an empty one")
    return [bool(hmac.digest(secret, b"expunge/canary/v1\x1e" + i.encode(), hashlib.sha256)[0] & 1) for i in ids]


def audit_canaries(
    scores: Sequence[float],
    included: Sequence[bool],
    plans: Sequence[Guesses],
    *,
    two_sided: bool = True,
    delta: float = 1e-5,
    confidence: float = 0.95,
) -> CanaryAudit:
    """A lower bound on epsilon from one score per canary (higher: more likely included), made without knowing the coins.

    `plans` must be fixed before the scores are seen. With several, or with `two_sided` (each plan the other way round as
    well, since what was pushed too far can be told apart too), the best bound counts and each is computed at a confidence
    raised so that all hold together (Bonferroni). Equal scores stand in the order given, which no coin has touched.

    Raises: TooFewSamples, if a plan guesses more canaries than there are; InvalidParameter, for scores that are not numbers.

    >>> coins = plant([str(i) for i in range(200)], b"auditor")
    >>> seen = audit_canaries([float(c) for c in coins], coins, [Guesses(80, 80)], two_sided=False)
    >>> print(seen.bound)
    epsilon >= 3.96 (lower bound, 95%, delta 1e-05, n = 160, at most 3.96 could have been shown)
    """
    if len(scores) != len(included):
        raise InvalidParameter(f"{len(scores)} scores for {len(included)} canaries")
    if not np.isfinite(scores).all():
        raise InvalidParameter(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not numbers")
    if not plans or (most := max(p.top + p.bottom for p in plans)) > len(scores):
        planned = f"{most} guesses" if plans else "no plan"
        raise TooFewSamples(f"{planned} for {len(scores)} canaries; plan fewer guesses than canaries")
    tried = [(plan, turned) for plan in plans for turned in ((False, True) if two_sided else (False,))]
    each = 1 - (1 - confidence) / len(tried)
    best: CanaryAudit | None = None
    for plan, turned in tried:
        right = _right(scores, included, plan, turned)
        shown = epsilon_lower_bound(right, plan.top + plan.bottom, len(scores), delta, each)
        bound = EpsilonBound(shown.epsilon, shown.ceiling, shown.n, delta, confidence)
        if best is None or bound.epsilon > best.bound.epsilon:
            best = CanaryAudit(bound, plan, turned, right, len(scores), len(tried))
    assert best is not None
    return best


def _right(scores: Sequence[float], included: Sequence[bool], plan: Guesses, turned: bool) -> int:
    """How many guesses of a plan are right."""
    order = np.argsort(np.asarray(scores) * (1 if turned else -1), kind="stable")
    coins = np.asarray(included, dtype=bool)[order]
    return int(coins[: plan.top].sum() + (~coins[len(coins) - plan.bottom :]).sum())
