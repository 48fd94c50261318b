"""Who beats whom, by subject: the counts from which an AUC over some of the pairs follows, and its spread."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Wins:
    """Pairs won by members (a tie counts half) and pairs compared, per subject of members and subject of others."""

    wins_GH: Floats
    pairs_GH: Floats

    def __add__(self, more: "Wins") -> "Wins":
        return Wins(self.wins_GH + more.wins_GH, self.pairs_GH + more.pairs_GH)

    @property
    def auc(self) -> float:
        return float(self.wins_GH.sum() / self.pairs_GH.sum())


def wins(members_N: Floats, others_M: Floats, of_N: Places, of_M: Places, shape: tuple[int, int]) -> Wins:
    """Every member against every other; `of_N` and `of_M` say which subject each belongs to, `shape` how many there are.

    >>> at = np.array([0, 0]), np.array([0])
    >>> wins(np.array([1.0, 3.0]), np.array([1.0]), *at, (1, 1))
    Wins(wins_GH=array([[1.5]]), pairs_GH=array([[2.]]))
    """
    won_NM = (members_N[:, None] > others_M[None, :]) + 0.5 * (members_N[:, None] == others_M[None, :])
    rows_GN = (np.arange(shape[0])[:, None] == of_N[None, :]).astype(np.float64)
    columns_MH = (of_M[:, None] == np.arange(shape[1])[None, :]).astype(np.float64)
    return Wins(rows_GN @ won_NM @ columns_MH, np.outer(rows_GN.sum(axis=1), columns_MH.sum(axis=0)))


def jackknife_sd(won: Wins) -> float:
    """Standard error of the AUC over subjects of both sides: leave each out in turn, add the two sides' variances.

    >>> even = Wins(np.full((4, 4), 1.0), np.full((4, 4), 2.0))
    >>> even.auc, jackknife_sd(even)
    (0.5, 0.0)
    """
    variance = 0.0
    for axis in (1, 0):
        left = (won.wins_GH.sum() - won.wins_GH.sum(axis=axis)) / (won.pairs_GH.sum() - won.pairs_GH.sum(axis=axis))
        variance += (len(left) - 1) / len(left) * float(((left - left.mean()) ** 2).sum())
    return float(variance**0.5)
