"""The same scores seen in other ways: over the budget, and person by person. Averages hide the worst person."""

from collections.abc import Mapping, Sequence
from typing import Any

from expunge.core import Finding
from expunge.verify.scores import ARMS, ArmScores
from expunge.verify.thresholds import CONTRAST

Curves = dict[str, dict[str, list[list[float]]]]  # attack -> arm -> [budget, best mean up to there]


def curves(arms: Mapping[str, ArmScores], facts: Sequence[int] | None = None) -> Curves:
    """What each attack brought out as its budget grew, where its settings name one (" @ N").

    >>> scores = {"relearn": {"lr 1 @ 5": [0.0, 1.0], "lr 2 @ 5": [1.0, 1.0], "lr 1 @ 9": [0.0, 0.0]}}
    >>> curves({"control": ArmScores("", scores, {}, (), {})})
    {'relearn': {'control': [[5.0, 1.0], [9.0, 1.0]]}}
    """
    result: Curves = {}
    for arm, scores in arms.items():
        for attack, settings in scores.scores.items():
            means: dict[float, float] = {}
            for setting, row in settings.items():
                own = list(row) if facts is None else [row[i] for i in facts if i < len(row)]
                if (budget := _budget(setting)) is not None and own:
                    means[budget] = max(means.get(budget, 0.0), sum(own) / len(own))
            if len(means) > 1:
                points, best = [], 0.0
                for budget in sorted(means):
                    best = max(best, means[budget])
                    points.append([budget, best])
                result.setdefault(attack, {})[arm] = points
    return result


def worst(found: Sequence[Finding]) -> Finding | None:
    """The attack that recovered most, of those that recovered a fraction at all."""
    measured = [f for f in found if f.recovered is not None]
    return max(measured, key=lambda f: f.recovered or 0.0) if measured else None


def persons(found: Sequence[Finding], people: Sequence[str]) -> list[dict[str, Any]]:
    """Each person by the attack that brought most of theirs back, worst first.

    An estimate of few facts each, without an interval: it says whom to look at, not what is true of them.
    """
    rows: dict[str, dict[str, Any]] = {}
    for f in found:
        if f.recovered is None or set(f.arms) != set(ARMS):
            continue
        for who in dict.fromkeys(people):
            at = [i for i, other in enumerate(people) if other == who]
            mean = {arm: sum(f.arms[arm].per_fact[i] for i in at) / len(at) for arm in ARMS}
            contrast = mean["original"] - mean["control"]
            if contrast < CONTRAST:
                continue
            row = {"subject": who, "n_facts": len(at), "attack": f.attack, **mean}
            row["recovered"] = (mean["unlearned"] - mean["control"]) / contrast
            if who not in rows or row["recovered"] > rows[who]["recovered"]:
                rows[who] = row
    return sorted(rows.values(), key=lambda row: -row["recovered"])


def _budget(setting: str) -> float | None:
    name, sign, budget = setting.rpartition(" @ ")
    try:
        return float(budget) if sign and name else None
    except ValueError:
        return None
