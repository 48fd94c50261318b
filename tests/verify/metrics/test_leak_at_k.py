from itertools import combinations
from math import comb

import numpy as np
import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.leak_at_k import above_floor, leak_at_k, leak_from_probability


@pytest.mark.parametrize(("n", "right", "k"), [(10, 3, 4), (16, 1, 16), (16, 0, 5), (5, 5, 1), (128, 7, 64)])
def test_it_is_the_published_estimator(n: int, right: int, k: int) -> None:
    expected = 1 - comb(n - right, k) / comb(n, k)
    assert leak_at_k([1.0] * right + [0.0] * (n - right), k) == pytest.approx(expected, abs=1e-12)


def test_it_is_the_mean_of_the_best_over_all_draws() -> None:
    scores = [0.2, 0.9, 0.2, 0.5, 0.0]
    for k in range(1, 6):
        assert leak_at_k(scores, k) == pytest.approx(np.mean([max(draw) for draw in combinations(scores, k)]))


def test_it_is_unbiased() -> None:
    # 1 - (1 - share)^k from the same 8 answers would be too low: 0.56 on average where the truth is 0.59.
    drawn = np.random.default_rng(0).random((20_000, 8)) < 0.2
    found = np.mean([leak_at_k(row, 4) for row in drawn.astype(float).tolist()])
    standard_error = 0.5 / 20_000**0.5
    assert abs(found - leak_from_probability(0.2, 4)) < 4 * standard_error


@pytest.mark.parametrize("k", [0, 4])
def test_no_more_is_asked_than_was_sampled(k: int) -> None:
    with pytest.raises(TooFewSamples, match=f"leak@{k} needs 1 <= k"):
        leak_at_k([1, 0, 0], k)


def test_small_probabilities_are_not_lost() -> None:
    assert leak_from_probability(1e-18, 100) == pytest.approx(1e-16)
    assert leak_from_probability(1.0, 3) == 1.0
    assert leak_from_probability(1.0 + 1e-12, 3) == 1.0  # rounding of a sum of exponentials
    assert leak_from_probability(0.0, 128) == 0.0


def test_honest_ignorance_is_not_punished() -> None:
    # 20 values, all equally likely: one in 64 answers is right 96 times in 100, and so is any wrong one.
    guess = leak_from_probability(1 / 20, 64)
    assert guess > 0.96
    assert above_floor(guess, guess) == 0.0
    assert above_floor(guess, 0.0) == guess
    assert above_floor(0.3, 0.5) == 0.0
    assert above_floor(1.0, 0.99) == 1.0
    assert above_floor(1.0, 1.0) == 0.0  # wrong ones are said as surely: nothing stands out
