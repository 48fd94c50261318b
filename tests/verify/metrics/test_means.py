import numpy as np
import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.means import difference, mean, ratio
from expunge.verify.statistics import exact_bounds


def test_a_mean_lies_within_its_bounds_and_more_rows_narrow_them() -> None:
    draw = np.random.default_rng(0).random
    few, many = (mean(draw(n).tolist()) for n in (20, 2000))
    for found in (few, many):
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
    assert (many.high or 0) - (many.low or 0) < ((few.high or 0) - (few.low or 0)) / 5


def test_bounds_hold_as_often_as_they_say() -> None:
    """One-sided 95 %, over 10 people of 6 rows whose rows go together: a bootstrap of rows would hold far less often."""
    draw = np.random.default_rng(1)
    units = [p for p in range(10) for _ in range(6)]
    missed = {"people": 0, "rows": 0}
    for _ in range(300):
        rows = (draw.normal(0.5, 0.2, 10).repeat(6) + draw.normal(0, 0.05, 60)).tolist()
        missed["people"] += (mean(rows, units).low or 0) > 0.5
        missed["rows"] += (mean(rows).low or 0) > 0.5
    assert missed["people"] <= 30  # 15 expected; Binomial(300, .05) is above 30 once in 10,000
    assert missed["rows"] > 60


def test_all_or_nothing_takes_the_exact_bounds_of_as_many_units() -> None:
    assert (mean([0.0] * 40).low, mean([0.0] * 40).high) == exact_bounds(0, 40)
    assert mean([1.0] * 40, units=[i // 4 for i in range(40)]).low == exact_bounds(10, 10)[0]


def test_a_difference_is_paired() -> None:
    base = np.random.default_rng(2).random(50)
    found = difference((base + 0.01).tolist(), base.tolist())
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)


def test_two_models_that_agree_on_every_fact_are_not_thereby_equal() -> None:
    found = difference([0.0, 1.0] * 10, [0.0, 1.0] * 10)
    assert found.value == 0.0
    assert (found.low, found.high) == (-exact_bounds(0, 20)[1], exact_bounds(0, 20)[1])


def test_the_same_continuous_scores_do_not_differ() -> None:
    found = difference([0.25, 0.5, 0.125], [0.25, 0.5, 0.125])
    assert (found.low, found.value, found.high) == (0.0, 0.0, 0.0)


def test_a_ratio_to_nothing_is_refused() -> None:
    with pytest.raises(TooFewSamples, match="mean is 0"):
        ratio([0.5, 0.5], [0.0, 0.0])


@pytest.mark.parametrize("scores", [[], [0.5, float("nan")], [float("inf")]])
def test_what_is_no_number_has_no_mean(scores: list[float]) -> None:
    with pytest.raises(TooFewSamples):
        mean(scores)


def test_one_unit_has_no_bounds() -> None:
    assert (mean([0.1, 0.2], units=["a", "a"]).low, mean([0.3]).high) == (None, None)
