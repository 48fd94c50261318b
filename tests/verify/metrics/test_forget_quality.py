import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.forget_quality import forget_quality, truth_ratio_distance


def drawn(shift: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(shift, 1, n), generator.normal(0, 1, n)


def test_it_is_the_test_of_scipy_and_as_sharp_on_inverses() -> None:
    a, b = np.exp(drawn(0.5, 60, 0)[0]), np.exp(drawn(0.0, 50, 1)[1])
    assert forget_quality(a, b) == ks_2samp(a, b).pvalue
    assert forget_quality(1 / a, 1 / b) == pytest.approx(forget_quality(a, b))  # as TOFU's code takes it


def test_few_questions_seldom_tell_models_apart() -> None:
    """Two models 0.3 standard deviations apart: the p-value is below 0.05 for 15 % of 40 questions, 96 % of 400."""
    share = {n: np.mean([forget_quality(*drawn(0.3, n, seed)) < 0.05 for seed in range(200)]) for n in (40, 400)}
    assert 0.08 < share[40] < 0.35
    assert share[400] > 0.9


def test_the_distance_is_that_of_scipy_also_where_values_are_equal() -> None:
    for a, b in (drawn(0.4, 80, 2), (np.array([0.0, 1.0] * 20), np.array([0.0, 1.0, 1.0, 1.0] * 10))):
        assert truth_ratio_distance(a, b).value == pytest.approx(ks_2samp(a, b).statistic)


def test_bounds_hold_the_true_distance() -> None:
    """D of two normals 0.5 apart is 2 Phi(0.25) - 1 = 0.197; both bounds are one-sided 95 %."""
    true = math.erf(0.25 / math.sqrt(2))
    found = [truth_ratio_distance(*drawn(0.5, 200, seed)) for seed in range(40)]
    assert sum(f.low <= true for f in found) >= 37
    assert sum(f.high >= true for f in found) >= 37
    assert np.mean([f.low > 0 for f in found]) > 0.7  # and say something


def test_no_difference_found_is_not_equality() -> None:
    a, b = drawn(0.0, 40, 3)
    assert forget_quality(a, b) > 0.05
    assert not truth_ratio_distance(a, b).equivalent


def test_equality_can_be_shown() -> None:
    a, _ = drawn(0.0, 400, 4)
    near = a + np.random.default_rng(5).normal(0, 0.05, 400)  # the same questions, nearly the same ratios
    assert truth_ratio_distance(a, near).equivalent
    assert truth_ratio_distance(a, near).value > 0


def test_people_count_and_not_questions() -> None:
    """Twenty questions that rise and fall together are one observation."""
    generator = np.random.default_rng(6)
    moods = np.repeat(generator.normal(0, 1, (2, 20)), 20, axis=1)
    people = [i // 20 for i in range(400)]
    by_question, by_person = truth_ratio_distance(*moods), truth_ratio_distance(*moods, units=people)
    assert by_person.high - by_person.value > 2 * (by_question.high - by_question.value)


def test_what_it_cannot_do_is_said() -> None:
    a, b = drawn(0.0, 30, 7)
    with pytest.raises(TooFewSamples, match="at least 20 answers per model, got 19"):
        forget_quality(a[:19], b)
    with pytest.raises(InvalidParameter, match="1 truth ratios are not numbers"):
        forget_quality(np.array([*a[:29], np.nan]), b)
    with pytest.raises(InvalidParameter, match="the same questions, got 29 and 30"):
        truth_ratio_distance(a[:29], b)
    with pytest.raises(TooFewSamples, match="two people"):
        truth_ratio_distance(a, b, units=["one"] * 30)
