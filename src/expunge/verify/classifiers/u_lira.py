"""U-LiRA on a classifier: row by row, does the arm look unlearned or as if it had never seen the row?

Source: Hayes et al. (2024), arXiv:2403.01218, with `expunge.verify.membership.u_lira`. Scores of one model depend on each
other, so the spread that counts is the one between models: every model that never saw the rows is put in the arm's place in
turn, judged by the others, and what those show is the noise in which an arm's score must stand out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from expunge.core import ArmScore, Finding, Outcome
from expunge.core.errors import TooFewSamples
from expunge.verify.classifiers.rows import Rows
from expunge.verify.classifiers.shadow_models import ShadowModels
from expunge.verify.classifiers.target import Classifier, Floats
from expunge.verify.membership import u_lira
from expunge.verify.metrics.auc import auc
from expunge.verify.scores import ARMS
from expunge.verify.thresholds import LEVEL, MEMBERSHIP_MARGIN

FEWEST = 5  # models of each kind
NAME, FAMILY = "u_lira", "membership"


@dataclass(frozen=True)
class Null:
    """AUC of models that never saw the rows, each against all others: the value and half-width for one more such model."""

    mean: float
    half_width: float


def u_lira_aucs(arms_AN: Floats, unlearned_KN: Floats, never_KN: Floats) -> tuple[list[float], Null]:
    """AUC of each arm's rows against the rows of models that never saw them, and what such a model gets itself.

    All are confidences log(p / (1 - p)) in the forgotten rows. Each never-seen model is scored by densities fitted without it.
    Above 0.5: the arm looks more unlearned than never seen.

    Raises: TooFewSamples, below 5 models of either kind.
    """
    n_unlearned, n_never = len(unlearned_KN), len(never_KN)
    if min(n_unlearned, n_never) < FEWEST:
        raise TooFewSamples(
            f"U-LiRA needs {FEWEST} unlearned and {FEWEST} never-seen models at least, got {n_unlearned} and {n_never}"
        )
    phi_KN = np.concatenate([unlearned_KN, never_KN])
    is_unlearned_KN = np.zeros(phi_KN.shape, dtype=bool)
    is_unlearned_KN[:n_unlearned] = True

    def scores(target_N: Floats, without: int | None = None) -> Floats:
        used = np.arange(len(phi_KN)) != (-1 if without is None else n_unlearned + without)
        return u_lira(target_N, phi_KN[used], is_unlearned_KN[used], ~is_unlearned_KN[used])

    null_KN = np.stack([scores(never_KN[k], without=k) for k in range(n_never)])
    null = [auc(null_KN[k].tolist(), np.delete(null_KN, k, axis=0).ravel().tolist()) for k in range(n_never)]
    # One more model of the same kind lies within this of the mean, by Student's t for a new observation.
    half = float(student.ppf(LEVEL, n_never - 1) * np.std(null, ddof=1) * (1 + 1 / n_never) ** 0.5)
    found = [auc(scores(arm_N).tolist(), null_KN.ravel().tolist()) for arm_N in arms_AN]
    return found, Null(float(np.mean(null)), half)


def u_lira_finding(arms: Mapping[str, Classifier], shadows: ShadowModels, rows: Rows) -> Finding:
    """RECOVERED where the unlearned arm differs from never-seen models by more than 0.15 and their own spread.

    Never NOT_RECOVERED: the shadows say how alike such models are, not that this one is one of them.

    Raises: CannotRun, TooFewSamples.
    """
    if missing := [arm for arm in ARMS if arm not in arms]:
        return Finding(attack=NAME, family=FAMILY, reason=f"the model of the {missing[0]} arm is not at hand")
    if {model.digest for model in arms.values()} & set(shadows.digests()):
        return Finding(attack=NAME, family=FAMILY, reason="an arm is among its own shadows; train others")
    own_AN = np.stack([arms[arm].confidence(rows) for arm in ARMS])
    never_KN = shadows.confidence("never_saw", rows)
    values, null = u_lira_aucs(own_AN, shadows.confidence("unlearned", rows), never_KN)
    value = dict(zip(ARMS, values, strict=True))
    gap, control = value["unlearned"] - null.mean, value["control"] - null.mean
    outcome = Outcome.INCONCLUSIVE
    reason = f"ΔAUC = {gap:+.2f} ± {null.half_width:.2f} to {len(never_KN)} models that never saw the rows"
    if abs(control) > max(MEMBERSHIP_MARGIN, null.half_width):
        reason = f"the control itself differs from the models that never saw the rows (ΔAUC = {control:+.2f})"
    elif abs(gap) - null.half_width > MEMBERSHIP_MARGIN:
        outcome = Outcome.RECOVERED
    return Finding(
        attack=NAME,
        family=FAMILY,
        arms={arm: ArmScore(v, v - null.half_width, v + null.half_width, "AUC") for arm, v in value.items()},
        outcome=outcome,
        reason=reason,
        n_facts=len(rows),
        low=gap - null.half_width,
        high=gap + null.half_width,
    )
