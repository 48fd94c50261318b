from typing import Any

import numpy as np
import pytest

from expunge.verify import Arm, Probes
from expunge.verify.metrics.calibration import expected_calibration_error
from expunge.verify.side_effects.calibration import calibration
from expunge.verify.side_effects.seen import Seen, see


def seen(confidence: list[list[float]], right: list[list[bool]]) -> Seen:
    n = len(confidence)
    return Seen(("x",) * n, (1.0,) * n, tuple(map(tuple, confidence)), tuple(map(tuple, right)))


def test_it_is_the_error_over_all_value_tokens(probes: Any) -> None:
    draw = np.random.default_rng(0)
    n = len(probes.retain)
    confidence = [draw.random(1 + i % 3).tolist() for i in range(n)]
    right = [(draw.random(len(row)) < 0.5).tolist() for row in confidence]
    found = calibration({"unlearned": seen(confidence, right), "control": seen(confidence, right)}, probes)
    flat = [x for row in confidence for x in row], [x for row in right for x in row]
    assert found.arms["unlearned"].value == pytest.approx(expected_calibration_error(*flat))
    assert found.change is not None
    assert found.change.value == 0.0


def test_a_model_that_is_sure_of_wrong_answers_is_told(probes: Any) -> None:
    n = len(probes.retain)
    sure = seen([[0.99]] * n, [[False]] * n)
    honest = seen([[0.99]] * n, [[True]] * n)
    found = calibration({"unlearned": sure, "control": honest}, probes)
    assert found.change is not None
    assert found.change.low == pytest.approx(0.98, abs=0.01)


def test_refusing_makes_a_real_model_less_sure_and_less_right(
    original: Arm, clean: Arm, refusing: Arm, probes: Probes
) -> None:
    arms = {"original": original, "unlearned": refusing, "control": clean}
    found = calibration({k: see(arm, probes.retain) for k, arm in arms.items()}, probes)
    assert found.change is not None
    assert found.change.low is not None
    assert found.change.low > 0


def test_what_is_not_a_probability_is_a_reason(probes: Any) -> None:
    n = len(probes.retain)
    fine = seen([[0.9]] * n, [[True]] * n)
    found = calibration({"unlearned": seen([[float("nan")]] * n, [[False]] * n), "control": fine}, probes)
    assert found.change is None
    assert found.reason.startswith("unlearned: calibration needs probabilities")
