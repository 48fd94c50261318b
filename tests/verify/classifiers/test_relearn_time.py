"""How many steps it takes to learn again."""

from typing import Any

import numpy as np
import pytest

from expunge.core.errors import InvalidParameter
from expunge.verify.attacks._target import CannotRun
from expunge.verify.classifiers import Classifier, RelearnTime, Sets, relearn_steps

MOMENTS = (0, 1, 2, 4, 8)


def curves(unlearned: list[float], control: list[float]) -> dict[str, dict[str, list[float]]]:
    return {"original": {"a": [1.0] * 5}, "unlearned": {"a": unlearned}, "control": {"a": control}}


def test_a_hidden_class_comes_back_sooner_than_it_is_learned(one_class: Any) -> None:
    found = {name: RelearnTime().run(Classifier(m), one_class.sets) for name, m in one_class.models.items()}
    best = {name: max(np.mean(row) for row in f.scores.values()) for name, f in found.items()}
    assert best["original"] > best["hidden"] > best["control"] + 0.3
    assert abs(best["retrained 2"] - best["control"]) < 0.1
    arms = {"original": "original", "unlearned": "hidden", "control": "control"}
    times = relearn_steps({arm: found[name].checks["curve"] for arm, name in arms.items()}, RelearnTime().moments)
    assert times.index is not None
    assert times.index <= 0.25


def test_the_index_is_a_ratio_of_steps() -> None:
    found = relearn_steps(curves([0.0, 0.5, 0.96, 1.0, 1.0], [0.0, 0.0, 0.0, 0.5, 0.95]), MOMENTS)
    assert (found.steps["unlearned"], found.steps["control"], found.index) == (2, 8, 0.25)


@pytest.mark.parametrize(("unlearned", "control"), [(0.5, 1.0), (1.0, 0.5), (0.5, 0.5)])
def test_a_censored_time_is_no_number(unlearned: float, control: float) -> None:
    found = relearn_steps(curves([0, 0, 0, 0, unlearned], [0, 0, 0, 0, control]), MOMENTS)
    assert found.index is None
    assert "censored" in found.reason
    assert found.steps["unlearned"] == (8 if unlearned == 1.0 else None)


def test_what_the_control_knows_anyway_was_never_forgotten() -> None:
    found = relearn_steps(curves([1.0] * 5, [0.96] * 5), MOMENTS)
    assert found.index is None
    assert "no step" in found.reason


def test_the_setting_is_the_controls_soonest_and_not_the_worst_for_the_unlearned() -> None:
    slow, fast = [0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 1.0]
    arms = {
        "original": {"a": [1.0] * 5, "b": [1.0] * 5},
        "unlearned": {"a": fast, "b": fast},
        "control": {"a": slow, "b": fast},
    }
    assert relearn_steps(arms, MOMENTS).setting == "b"


def test_one_row_cannot_be_halved(one_class: Any) -> None:
    sets = Sets(one_class.sets.forget.at(np.arange(1)), one_class.sets.retain)
    with pytest.raises(CannotRun, match="two rows"):
        RelearnTime().run(Classifier(one_class.models["original"]), sets)


def test_moments_must_rise_from_zero() -> None:
    with pytest.raises(InvalidParameter, match="rise from 0"):
        RelearnTime(moments=(4, 2))
