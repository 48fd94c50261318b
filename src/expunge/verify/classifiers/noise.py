"""How far two models differ that never saw the rows: noise that rows cannot show.

A bootstrap over rows knows one model per arm. Two models trained without a class, with other seeds, rank its rows unlike each
other; so an attack that reads what a model makes of the whole class has a spread of its own, between models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from expunge.core import Finding, Outcome
from expunge.verify.scores import ArmScores
from expunge.verify.thresholds import LEVEL, TAU

# Of what the original knew: beside a single control, an attack on the class as a whole must bring back more than this. Models
# that never saw a class of the digits "recovered" up to 0.46 from each other (80 models, bench/verify_classifiers.py).
ALONE = 0.5


def beside_controls(
    found: Sequence[Finding], controls: Sequence[ArmScores], whole_class: Sequence[bool]
) -> list[Finding]:
    """The findings with bounds widened by the controls' spread; `controls[0]` is the control arm itself.

    With k controls, the difference of two models that never saw the rows stays within Student's t (k - 1 degrees of freedom)
    x sd x sqrt(2), at 95 % each way for all attacks together (Bonferroni). With one control nobody knows that spread: an
    attack on the class as a whole (`whole_class`, one per finding) then decides nothing but a recovery of more than half.
    """
    n_measured = sum(f.recovered is not None for f in found)
    return [
        _beside(f, controls, whole, n_measured) if f.recovered is not None else f
        for f, whole in zip(found, whole_class, strict=True)
    ]


def _beside(f: Finding, controls: Sequence[ArmScores], whole_class: bool, n_measured: int) -> Finding:
    assert f.recovered is not None and f.low is not None and f.high is not None  # noqa: PT018 – they come together
    if f.low > ALONE or (len(controls) < 2 and not whole_class):
        return f
    if len(controls) < 2:
        reason = f"{f.recovered:.2f} ({f.low:.2f} to {f.high:.2f}) beside one control, which does not show how far two differ"
        return replace(f, outcome=Outcome.INCONCLUSIVE, reason=f"{reason}; give more_controls of other seeds")
    if lacking := [c for c in controls if f.attack not in c.scores]:
        reason = f"could not run on a further control: {lacking[0].failed.get(f.attack, 'it was not run')}"
        return replace(f, outcome=Outcome.INCONCLUSIVE, reason=reason)
    means = [at_best(c.scores[f.attack]) for c in controls]
    if not np.isfinite(means).all():
        return replace(f, outcome=Outcome.INCONCLUSIVE, reason="gave a score that is not a number on a further control")
    noise = spread(means, n_measured) / (f.arms["original"].mean - f.arms["control"].mean)
    low = f.recovered - float(np.hypot(f.recovered - f.low, noise))
    high = f.recovered + float(np.hypot(f.high - f.recovered, noise))
    if f.outcome is Outcome.INCONCLUSIVE:
        return replace(f, low=low, high=high)
    if low > TAU or high <= TAU:
        return replace(
            f, low=low, high=high, reason=f"{f.reason} ({low:.2f} to {high:.2f} beside {len(controls)} controls)"
        )
    reason = f"between {low:.2f} and {high:.2f}: {len(controls)} controls show that two such models differ by up to {noise:.2f}"
    return replace(f, low=low, high=high, outcome=Outcome.INCONCLUSIVE, reason=reason)


def spread(means: Sequence[float], n_attacks: int = 1) -> float:
    """What the difference of two such means stays below, each way, with 95 % for so many attacks together.

    >>> round(spread([0.30, 0.34, 0.32]), 3), round(spread([0.30, 0.34, 0.32], n_attacks=6), 3)
    (0.083, 0.216)
    """
    k = len(means)
    return float(student.ppf(1 - (1 - LEVEL) / n_attacks, k - 1) * np.std(means, ddof=1) * 2**0.5)


def at_best(settings: Mapping[str, Sequence[float]]) -> float:
    """The mean over rows at the best setting."""
    return max(float(np.mean(row)) for row in settings.values())
