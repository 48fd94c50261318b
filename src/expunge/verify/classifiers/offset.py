"""Add a constant to the scores of the forgotten classes: a class that was masked in the outputs comes back.

The constant is the smallest one that turns a stated share of *retained* rows of other classes into that class, so nothing
about the forgotten rows is used, and the model needs neither gradients nor training. A classifier that knows the class
gives its rows the highest such scores; one that never learned it cannot tell them from others.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from expunge.verify.classifiers.rows import Sets, per_class
from expunge.verify.classifiers.target import Classifier, Floats, Found


@dataclass(frozen=True, kw_only=True)
class Offset:
    """`shares`: how many of the retained rows of other classes may be lost to the class."""

    shares: tuple[float, ...] = (0.01,)
    name: ClassVar[str] = "offset"
    family: ClassVar[str] = "black box"
    whole_class: ClassVar[bool] = True

    def run(self, target: Classifier, sets: Sets) -> Found:
        scores = {f"{share:g} of the retained": [0.0] * len(sets.forget) for share in self.shares}
        asked_NC, kept_MC = target.logp(sets.forget.X), target.logp(sets.retain.X)
        forget_N = target.columns(sets.forget.y, asked_NC.shape[1])
        retain_M = target.columns(sets.retain.y, kept_MC.shape[1])
        for column in per_class(forget_N):
            if column < 0:
                continue
            lead_N, lead_M = lead(asked_NC, column), lead(kept_MC[retain_M != column], column)
            for share, row in zip(self.shares, scores.values(), strict=True):
                least = np.quantile(lead_M, 1 - share, method="higher") if len(lead_M) else 0.0
                for i in np.flatnonzero(forget_N == column):
                    row[i] = float(lead_N[i] > min(least, 0.0))  # never stricter than the model itself
        return Found(scores)


def lead(logp_NC: Floats, column: int) -> Floats:
    """By how much a class is ahead of the best other one, [N].

    >>> lead(np.log(np.array([[0.2, 0.8], [0.5, 0.5]])), 0).round(4).tolist()
    [-1.3863, 0.0]
    """
    others_NC = np.delete(logp_NC, column, axis=1)
    with np.errstate(invalid="ignore"):
        ahead_N = logp_NC[:, column] - others_NC.max(axis=1)
    return np.asarray(np.nan_to_num(ahead_N, nan=-np.inf, posinf=np.inf, neginf=-np.inf), dtype=np.float64)
