"""Row by row: unlearned, or never seen?"""

from typing import Any

import numpy as np
import pytest

from expunge.core import Outcome
from expunge.core.errors import TooFewSamples
from expunge.verify.classifiers import Classifier, ShadowModels, u_lira_aucs
from expunge.verify.classifiers.u_lira import u_lira_finding


def world(shift: float, n_rows: int = 100, n_models: int = 12, seed: int = 0) -> tuple[Any, Any, Any]:
    """Confidences that differ from row to row; unlearned models are `shift` above those that never saw the rows."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(scale=3, size=n_rows)
    never = rows + draw.normal(size=(n_models, n_rows))
    unlearned = rows + shift + draw.normal(size=(n_models, n_rows))
    arms = np.stack([rows + shift + draw.normal(size=n_rows), rows + draw.normal(size=n_rows)])
    return arms, unlearned, never


def test_a_shift_of_every_row_is_seen_through_the_spread_of_rows() -> None:
    (unlearned, control), null = u_lira_aucs(*world(shift=2.0))
    assert unlearned - null.half_width > null.mean + 0.15
    assert abs(control - null.mean) < null.half_width
    # One threshold for all rows sees little of it: rows differ by more than unlearning shifts them.
    arms, _, never = world(shift=2.0)
    assert np.mean(arms[0][:, None] > never[0][None, :]) < unlearned - 0.1


def test_perfect_unlearning_stays_in_the_noise() -> None:
    outside = 0
    for seed in range(100):
        (unlearned, _), null = u_lira_aucs(*world(shift=0.0, seed=seed))
        outside += abs(unlearned - null.mean) > null.half_width
    assert outside <= 20  # 5 % a side: 10 expected of 100, and more than 20 once in a thousand


def test_a_whole_models_luck_is_noise_and_no_finding() -> None:
    """Models that are surer than others in all rows at once: rows are many, models are few."""
    draw = np.random.default_rng(1)
    never, unlearned = (draw.normal(size=(6, 1)) + 0.3 * draw.normal(size=(6, 400)) for _ in range(2))
    lucky = 1.0 + 0.3 * draw.normal(size=(1, 400))
    (found,), null = u_lira_aucs(lucky, unlearned, never)
    assert null.half_width > 0.3
    assert abs(found - null.mean) < null.half_width


def test_few_models_are_refused() -> None:
    arms, unlearned, never = world(shift=1.0)
    with pytest.raises(TooFewSamples, match="5 unlearned and 5"):
        u_lira_aucs(arms, unlearned[:4], never)


def test_shadows_of_another_method_show_the_arm_and_an_arm_is_no_shadow(one_class: Any) -> None:
    import copy

    models = one_class.models
    hidden = []
    for k in range(5):
        model = copy.deepcopy(models["hidden"])
        model[-1].bias.data[5] -= 0.1 * (k + 1)
        hidden.append(model)
    never = []
    for k in range(5):
        model = copy.deepcopy(models[f"retrained {2 + k % 3}"])
        model[-1].bias.data[0] += 0.01 * (k + 1)
        never.append(model)
    arms = {"original": models["original"], "unlearned": models["hidden"], "control": models["control"]}
    targets = {name: Classifier(m) for name, m in arms.items()}
    found = u_lira_finding(targets, ShadowModels(unlearned=hidden, never_saw=never), one_class.sets.forget)
    assert found.arms["unlearned"].mean > 0.9
    same = ShadowModels(unlearned=[models["hidden"], *hidden], never_saw=never)
    assert "its own shadows" in u_lira_finding(targets, same, one_class.sets.forget).reason
    assert u_lira_finding({}, same, one_class.sets.forget).outcome is Outcome.INCONCLUSIVE
