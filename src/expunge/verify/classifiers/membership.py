"""Were the forgotten rows in the training data? Against rows never trained on, and against models that never saw them.

The offline RMIA of `expunge.verify.membership` where models that never saw the rows are at hand, and the confidence itself.
Members and holdout rows must have been drawn at random before training, or a test shows how they were chosen and no more;
nobody can see that in the rows, so it has to be stated. Two-sided, judged beside the control (`membership_axis`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from expunge.core import Finding, Outcome
from expunge.verify.attacks._target import CannotRun, Scores
from expunge.verify.classifiers.rows import Rows, Sets
from expunge.verify.classifiers.target import Classifier, Found
from expunge.verify.membership import rmia
from expunge.verify.membership.rmia import probability_ratio, rmia_among
from expunge.verify.membership_axis import membership
from expunge.verify.scores import ArmScores


@dataclass(frozen=True, kw_only=True)
class Membership:
    """RMIA beside `outs`, models that saw neither forgotten nor holdout rows and are no arm; without any, the confidence.

    The holdout rows are RMIA's strangers too: its score rises with the row's own ratio, so they set the scale, not the order.
    `a`: how far the models without a row stand for those with it (`probability_ratio`).
    """

    outs: tuple[Classifier, ...] = ()
    a: float = 0.3
    name: ClassVar[str] = "membership"
    family: ClassVar[str] = "membership"
    whole_class: ClassVar[bool] = False

    def run(self, target: Classifier, sets: Sets) -> Found:
        """Rows "members" and "others" are those of the statistic that is judged; the others are named."""
        if sets.holdout is None or len(sets.holdout) < 2:
            raise CannotRun("no holdout rows that were never trained on; give some drawn like the forgotten ones")
        confidence = target.confidence(sets.forget).tolist(), target.confidence(sets.holdout).tolist()
        if not self.outs:
            return Found(_pair("", *confidence))
        forget_N, holdout_M = self._ratio(target, sets.forget), self._ratio(target, sets.holdout)
        scores = _pair("", rmia(forget_N, holdout_M).tolist(), rmia_among(holdout_M).tolist())
        return Found({**scores, **_pair("confidence: ", *confidence)}, {"statistic": "rmia", "outs": len(self.outs)})

    def _ratio(self, target: Classifier, rows: Rows) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        outs_KN = np.stack([out.probability(rows) for out in self.outs])
        return probability_ratio(target.probability(rows), outs_KN, self.a)


def membership_finding(
    arms: Mapping[str, ArmScores], randomised: bool | None, facts: Sequence[int] | None = None
) -> Finding:
    """The finding of `membership_axis`; without a word that members were drawn at random, it decides nothing."""
    found = membership(arms, facts, bare=_statistic(arms))
    if randomised or found.outcome is Outcome.INCONCLUSIVE:
        return found
    statement = "was not stated" if randomised is None else "was denied"
    reason = f"that forgotten and holdout rows were drawn alike at random before training {statement}; a test of both is void"
    return replace(found, outcome=Outcome.INCONCLUSIVE, reason=reason)


def _statistic(arms: Mapping[str, ArmScores]) -> str:
    """What the rows without a name are of."""
    control = arms.get("control")
    return str(control.checks.get("membership", {}).get("statistic", "confidence")) if control else ""


def _pair(name: str, members: Sequence[float], nonmembers: Sequence[float]) -> Scores:
    return {f"{name}members": list(members), f"{name}others": list(nonmembers)}
