import math

import pytest

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.truth_ratio import closeness_to_one, truth_ratio, truthfulness


def test_the_paper_takes_the_mean_of_probabilities() -> None:
    """TOFU's code takes e to the mean of logarithms instead: one unlikely wrong answer then hides four likely ones."""
    right, wrong = math.log(0.2), [math.log(p) for p in (0.2, 0.2, 0.2, 0.2, 2e-11)]
    assert truth_ratio(right, wrong) == pytest.approx(0.8)
    assert truth_ratio(right, wrong, mean="geometric") == pytest.approx((1e-10) ** 0.2)


def test_equal_answers_have_a_ratio_of_one() -> None:
    for mean in ("arithmetic", "geometric"):
        assert truth_ratio(-3.0, [-3.0] * 5, mean) == pytest.approx(1.0)


def test_answers_far_below_what_a_float_holds_still_have_a_ratio() -> None:
    assert truth_ratio(-2000.0, [-2000.0 + math.log(3)]) == pytest.approx(3.0)
    assert truth_ratio(-2000.0, [-1.0]) == math.inf


def test_forgotten_is_best_at_one_and_kept_at_zero() -> None:
    assert [closeness_to_one(r) for r in (0.0, 0.5, 1.0, 2.0, math.inf)] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert [truthfulness(r) for r in (0.0, 0.5, 1.0, math.inf)] == [1.0, 0.5, 0.0, 0.0]


def test_what_is_not_a_number_stays_so() -> None:
    ratio = truth_ratio(math.nan, [-1.0])
    assert math.isnan(ratio)
    assert math.isnan(closeness_to_one(ratio))
    assert math.isnan(truthfulness(ratio))


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(TooFewSamples):
        truth_ratio(-1.0, [])
    with pytest.raises(InvalidParameter, match="arithmetic, geometric"):
        truth_ratio(-1.0, [-1.0], mean="harmonic")
