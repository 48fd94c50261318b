"""Can members be told from strangers without the model? Then a membership test shows how the two were chosen, no more.

Source: Meeus et al. (2024), SoK, arXiv:2406.17975; Das, Zhang, Tramèr (2024), arXiv:2406.16201: most published results on
pretraining data are beaten by a classifier that never sees the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from expunge.core import Fact
from expunge.engine import keyed_order
from expunge.verify.membership.winning import Wins, jackknife_sd, wins
from expunge.verify.probes import Probes

MARGIN = 0.1  # above 0.5, what a lower bound may reach before the test is void
_FOLDS = 5


@dataclass(frozen=True)
class BlindBaseline:
    """AUC of a bag of words with one-sided 95 % bounds each way. None: too few subjects to tell, so nothing was checked."""

    auc: float | None
    low: float
    high: float

    @property
    def void(self) -> bool:
        """The split is shifted beyond the margin: membership scores of any model would be high."""
        return self.low > 0.5 + MARGIN

    def __str__(self) -> str:
        if self.auc is None:
            return "blind AUC: not measurable with fewer than two subjects a side"
        return f"blind AUC {self.auc:.2f} ({self.low:.2f} to {self.high:.2f})"


def blind_baseline(probes: Probes) -> BlindBaseline:
    """The facts to forget against the unseen ones, by the words of question and answer."""

    def texts(facts: Sequence[Fact]) -> list[str]:
        return [f"{f.question} {f.answer}" for f in facts]

    def units(facts: Sequence[Fact]) -> list[str]:
        return [f.subject or f.id for f in facts]

    return blind_auc(texts(probes.forget), texts(probes.unseen), units(probes.forget), units(probes.unseen))


def blind_auc(
    members: Sequence[str], nonmembers: Sequence[str], member_units: Sequence[str], other_units: Sequence[str]
) -> BlindBaseline:
    """Cross-validated AUC of logistic regression on one- and two-word counts, members against others.

    Folds hold whole subjects (`*_units`), so no name helps; every fold has both sides, and only pairs of one fold are
    compared, since scores of two classifiers have no common scale. Bounds: jackknife over subjects with Student's t.
    A classifier of words sees what words show: length, style, dates, topics. It is no proof that the split is fair.
    """
    sides = _Side.of(members, member_units), _Side.of(nonmembers, other_units)
    k = min(_FOLDS, *(side.n_units for side in sides))
    if k < 2:
        return BlindBaseline(None, 0.0, 1.0)
    empty = np.zeros((sides[0].n_units, sides[1].n_units))
    won = Wins(empty, empty)
    for fold in range(k):
        words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"(?u)\b\w+\b")
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        fitted = [side.texts(side.place_N % k != fold) for side in sides]
        model.fit(words.fit_transform([*fitted[0], *fitted[1]]), [1] * len(fitted[0]) + [0] * len(fitted[1]))
        held = [side.place_N % k == fold for side in sides]
        scores = [
            model.decision_function(words.transform(side.texts(at))) for side, at in zip(sides, held, strict=True)
        ]
        places = [side.place_N[at] for side, at in zip(sides, held, strict=True)]
        won += wins(scores[0], scores[1], places[0], places[1], empty.shape)
    half = t.ppf(0.95, df=min(empty.shape) - 1) * jackknife_sd(won)
    return BlindBaseline(won.auc, max(0.0, won.auc - half), min(1.0, won.auc + half))


@dataclass(frozen=True)
class _Side:
    """Texts and their subjects, numbered in an order that depends on the subjects' names alone; the fold is number mod k."""

    all_texts: tuple[str, ...]
    place_N: NDArray[np.intp]
    n_units: int

    @classmethod
    def of(cls, texts: Sequence[str], units: Sequence[str]) -> "_Side":
        names = sorted(set(units))
        number = {names[i]: at for at, i in enumerate(keyed_order(names, b"expunge/blind/v1"))}
        return cls(tuple(texts), np.array([number[u] for u in units], dtype=np.intp), len(names))

    def texts(self, at_N: NDArray[np.bool_]) -> list[str]:
        return [self.all_texts[i] for i in np.flatnonzero(at_N)]
