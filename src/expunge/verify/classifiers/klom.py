"""KLOM: row by row, how far are the margins of unlearned models from those of retrained ones?

Source: Georgiev, Rinberg, Park, Garg, Ilyas, Madry, Neel (2024), "Attribute-to-Delete", arXiv:2410.23232, App. E.1; constants as
in the authors' code (data-unlearning-bench): margins cut at ±100, 20 bins over both ensembles' common range, empty bins of the
retrained at 1e-5. Differs: that code drops the largest margin of each row from its histogram, here it is in the last bin.

A histogram of few models is never empty of difference: two halves of one ensemble have a KLOM well above 0 as well. So the
value stands beside its floor, the same computed after the models were dealt anew, and a permutation test over models.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy

from expunge.core import ArmScore, Finding, Outcome
from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.classifiers.rows import Rows, drawn
from expunge.verify.classifiers.shadow_models import ShadowModels
from expunge.verify.classifiers.target import CLIP, Floats
from expunge.verify.thresholds import TAU

FEWEST = 20  # models on either side
BINS = 20
EMPTY = 1e-5
N_DEALS = 200
NAME, FAMILY = "klom", "membership"


@dataclass(frozen=True)
class Klom:
    """KL(unlearned || retrained) in nats over rows. `floor_*`: the same when models are dealt to the two sides at random.

    `p_value`: share of deals with a mean KL as large. Small: the procedure's outputs differ from retraining's. Large: no
    difference was found with so many models, which is no proof of none. Nothing is said of any one delivered model.
    """

    n_unlearned: int
    n_retrained: int
    mean: float
    median: float
    p95: float
    floor_mean: float
    floor_median: float
    floor_p95: float
    p_value: float
    per_row: tuple[float, ...] = field(repr=False, default=())


def klom(unlearned_KN: Floats, retrained_MN: Floats, bins: int = BINS, clip: float = CLIP) -> Klom:
    """KLOM of two ensembles' margins in N rows.

    Raises: TooFewSamples, below 20 models on a side; InvalidParameter, for margins of other rows or not numbers.

    >>> draws = np.random.default_rng(0).normal(size=(80, 5))
    >>> same, apart = klom(draws[:40], draws[40:]), klom(draws[:40] + 3, draws[40:])
    >>> same.p_value > 0.05, apart.p_value < 0.05, apart.median > apart.floor_median
    (True, True, True)
    """
    if min(len(unlearned_KN), len(retrained_MN)) < FEWEST:
        raise TooFewSamples(
            f"KLOM needs {FEWEST} models on either side, got {len(unlearned_KN)} unlearned and {len(retrained_MN)} retrained; "
            "a histogram of fewer shows the number of models and not the difference"
        )
    if unlearned_KN.shape[1:] != retrained_MN.shape[1:] or np.isnan(unlearned_KN).any() or np.isnan(retrained_MN).any():
        raise InvalidParameter("margins of both ensembles must be numbers, in the same rows")
    both = np.clip(np.concatenate([unlearned_KN, retrained_MN]), -clip, clip)
    one_hot = _one_hot(both, bins)
    first = np.arange(len(both)) < len(unlearned_KN)
    found_N = divergence(*_counts(one_hot, first, bins))
    draw = drawn("klom")
    floor_BN = np.stack([divergence(*_counts(one_hot, draw.permutation(first), bins)) for _ in range(N_DEALS)])
    floors_B = floor_BN.mean(axis=1)
    return Klom(
        n_unlearned=len(unlearned_KN),
        n_retrained=len(retrained_MN),
        mean=float(found_N.mean()),
        median=float(np.median(found_N)),
        p95=float(np.quantile(found_N, 0.95)),
        floor_mean=float(floors_B.mean()),
        floor_median=float(np.median(floor_BN, axis=1).mean()),
        floor_p95=float(np.quantile(floor_BN, 0.95, axis=1).mean()),
        p_value=float((1 + (floors_B >= found_N.mean() - 1e-12).sum()) / (N_DEALS + 1)),
        per_row=tuple(map(float, found_N)),
    )


def divergence(p_NB: Floats, q_NB: Floats) -> Floats:
    """KL(p || q) of histograms given as counts, in nats, [N]; a bin that only p fills counts 1e-5 in q.

    >>> divergence(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]])).round(4).tolist()  # ln(2) / 2 + ln(2/3) / 2
    [0.1438]
    """
    p_NB, q_NB = (h / h.sum(axis=1, keepdims=True) for h in (p_NB, q_NB))
    return np.asarray(entropy(p_NB, np.where(p_NB > 0, np.maximum(q_NB, EMPTY), q_NB), axis=1), dtype=np.float64)


def klom_by_set(shadows: ShadowModels, sets: "dict[str, Rows]") -> dict[str, Klom]:
    """KLOM on each set of rows: forgotten rows should not remember, retained and holdout rows should not suffer.

    Raises: CannotRun, TooFewSamples.
    """
    return {
        name: klom(shadows.confidence("unlearned", rows), shadows.confidence("never_saw", rows))
        for name, rows in sets.items()
    }


def klom_finding(unlearned: Klom, original: Klom | None) -> Finding:
    """Which share of the divergence that doing nothing would have is left: (unlearned - floor) / (original - floor).

    Without original ensembles there is no scale, and nothing is decided. Never NOT_RECOVERED: no bound says so.
    """
    arms = {"unlearned": _shown(unlearned)}
    about = f"KLOM {unlearned.median:.2f} (floor {unlearned.floor_median:.2f}, p = {unlearned.p_value:.3f})"
    recovered, outcome = None, Outcome.INCONCLUSIVE
    if original is None:
        reason = f"{about}; without ensembles of the original there is no scale"
    else:
        arms["original"] = _shown(original)
        if original.p_value >= 0.05:
            outcome, reason = Outcome.NO_CONTRAST, "original and retrained ensembles cannot be told apart either"
        else:
            recovered = (unlearned.mean - unlearned.floor_mean) / (original.mean - original.floor_mean)
            reason = f"{about}: {recovered:.2f} of what doing nothing leaves"
            if unlearned.p_value < 0.05 and recovered > TAU:
                outcome = Outcome.RECOVERED
    return Finding(
        attack=NAME,
        family=FAMILY,
        arms=arms,
        recovered=recovered,
        outcome=outcome,
        reason=reason,
        n_facts=len(unlearned.per_row),
    )


def _shown(found: Klom) -> ArmScore:
    low, high = (float(q) for q in np.quantile(found.per_row, [0.05, 0.95]))
    return ArmScore(found.median, low, high, "median KL, and 5 % and 95 % of rows", found.per_row)


def _one_hot(margins_KN: Floats, bins: int) -> Floats:
    """Which bin each model's margin in each row falls into, [K, N * bins]; bins are equal parts of the row's range."""
    low_N, high_N = margins_KN.min(axis=0), margins_KN.max(axis=0)
    width_N = np.where(high_N > low_N, high_N - low_N, 1.0)
    at_KN = np.minimum((margins_KN - low_N) / width_N * bins, bins - 1).astype(np.intp)
    return np.asarray(np.eye(bins)[at_KN].reshape(len(margins_KN), -1))


def _counts(one_hot: Floats, first: NDArray[np.bool_], bins: int) -> tuple[Floats, Floats]:
    """Histograms of both sides, [N, bins] each."""
    counts = np.stack([first, ~first]).astype(np.float64) @ one_hot
    return counts[0].reshape(-1, bins), counts[1].reshape(-1, bins)
