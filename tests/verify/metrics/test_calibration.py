import numpy as np
import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.calibration import expected_calibration_error


def test_it_is_the_sum_worked_by_hand() -> None:
    # bins of width .2: (.8, 1] holds .9 .9 .85 (2 of 3 right), (.4, .6] holds .5 .6 (0 of 2 right)
    found = expected_calibration_error([0.9, 0.9, 0.85, 0.5, 0.6], [True, True, False, False, False], bins=5)
    by_hand = 3 / 5 * abs(2 / 3 - (0.9 + 0.9 + 0.85) / 3) + 2 / 5 * abs(0 - 0.55)
    assert found == pytest.approx(by_hand)


def test_it_is_a_plain_loop_over_bins() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(500)
    right = draw.random(500) < confidence**2
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence.tolist(), right.tolist()) == pytest.approx(total)


def test_a_sure_and_right_model_is_calibrated_and_a_sure_and_wrong_one_is_not() -> None:
    assert expected_calibration_error([1.0] * 5, [True] * 5) == 0.0
    assert expected_calibration_error([1.0] * 5, [False] * 5) == 1.0


@pytest.mark.parametrize("confidence", [[], [float("nan")], [1.2]])
def test_what_is_no_probability_is_refused(confidence: list[float]) -> None:
    with pytest.raises(TooFewSamples):
        expected_calibration_error(confidence, [True] * len(confidence))
