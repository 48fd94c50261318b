import numpy as np
import pytest
from scipy.stats import beta, binom

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.epsilon_lower_bound import (
    EpsilonBound,
    epsilon_from_errors,
    epsilon_from_models,
    epsilon_lower_bound,
    guesses_p_value,
)


@pytest.mark.parametrize(
    "right, guesses, canaries, delta, published",
    [(75, 100, 1000, 1e-4, 0.673), (1439, 1510, 100_000, 1e-5, 2.675)],  # Appendix D and Sec. 7 of the paper
)
def test_it_is_the_published_bound(right: int, guesses: int, canaries: int, delta: float, published: float) -> None:
    # The paper rounds the first and cuts the second.
    assert epsilon_lower_bound(right, guesses, canaries, delta).epsilon == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize("share, epsilon", [(0.6, 0.16), (0.7, 0.58), (0.8, 1.09), (0.9, 1.80), (1.0, 4.19)])
def test_two_hundred_guesses(share: float, epsilon: float) -> None:
    found = epsilon_lower_bound(round(200 * share), 200, 200)
    assert round(found.epsilon, 2) == epsilon
    assert found.ceiling == pytest.approx(4.19, abs=0.005)


def test_without_delta_it_is_clopper_pearson() -> None:
    for right, n in ((30, 40), (55, 60), (20, 20)):
        share = beta.ppf(0.05, right, n - right + 1)
        assert epsilon_lower_bound(right, n, n, delta=0.0).epsilon == pytest.approx(
            np.log(share / (1 - share)), abs=1e-6
        )


def test_guessing_at_chance_shows_nothing() -> None:
    assert epsilon_lower_bound(100, 200, 200).epsilon == 0.0
    assert epsilon_lower_bound(0, 200, 200).epsilon == 0.0


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("delta", [0.0, 1e-3])
def test_it_exceeds_the_truth_in_at_most_five_percent_exactly(epsilon: float, delta: float) -> None:
    """Randomised response that shows the coin with probability delta, and else keeps it with e^eps / (1 + e^eps)."""
    n = 120
    q = delta + (1 - delta) / (1 + np.exp(-epsilon))
    wrong = sum(
        float(binom.pmf(v, n, q)) for v in range(n + 1) if epsilon_lower_bound(v, n, n, delta).epsilon > epsilon
    )
    assert wrong <= 0.05
    if delta == 0:
        assert wrong > 0.02  # as sharp as whole numbers of guesses allow


def test_the_p_value_bounds_every_way_of_spending_delta() -> None:
    """F free guesses with E[F] = 2 m delta, all in one rare event, whose size the adversary chooses: never above the bound."""
    m = r = 50
    delta, epsilon = 1e-3, 0.5
    q = 1 / (1 + np.exp(-epsilon))
    for right in (30, 38, 45, 50):
        bound = guesses_p_value(right, r, m, epsilon, delta)
        for size in range(1, m + 1):
            chance = min(1.0, 2 * m * delta / size)
            p = (1 - chance) * binom.sf(right - 1, r, q) + chance * binom.sf(right - size - 1, r, q)
            assert p <= bound + 1e-12


def test_a_bound_is_never_shown_without_its_size_and_ceiling() -> None:
    text = str(epsilon_lower_bound(140, 200, 500))
    assert all(part in text for part in ("0.58", "lower bound", "95%", "n = 200", "at most"))
    assert float(epsilon_lower_bound(140, 200, 500).ceiling) > 4


@pytest.mark.parametrize("n, ceiling", [(16, 1.35), (64, 2.82), (256, 4.23), (512, 4.93)])
def test_no_error_in_few_models_shows_little(n: int, ceiling: float) -> None:
    found = epsilon_from_errors(0, n, 0, n, delta=1e-5)
    assert found.epsilon == found.ceiling == pytest.approx(ceiling, abs=0.005)


def test_errors_either_way_lower_it_and_both_directions_count() -> None:
    few_false = epsilon_from_errors(0, 100, 60, 100, delta=0.0).epsilon
    few_missed = epsilon_from_errors(60, 100, 0, 100, delta=0.0).epsilon
    assert few_false == pytest.approx(few_missed)
    assert few_false > 1
    assert epsilon_from_errors(50, 100, 50, 100, delta=0.0).epsilon == 0.0
    upper = beta.ppf(0.975, 61, 40)
    fpr = 1 - 0.025 ** (1 / 100)
    assert few_false == pytest.approx(np.log((1 - upper) / fpr))


def test_two_equal_distributions_show_nothing_in_95_percent() -> None:
    draw, shown, runs = np.random.default_rng(0), 0, 200
    naive = []
    for _ in range(runs):
        unlearned, retrained = draw.normal(size=(2, 64))
        shown += epsilon_from_models(unlearned, retrained).epsilon > 0
        thresholds = np.sort(np.concatenate([unlearned, retrained]))
        rates = [((retrained > t).mean(), (unlearned <= t).mean()) for t in thresholds]
        naive.append(max(np.log((1 - f) / m) for f, m in rates if m > 0 and f < 1))
    assert binom.sf(shown - 1, runs, 0.05) > 0.001
    assert np.mean(naive) > 0.2  # what the best threshold on the judged sample would claim


@pytest.mark.parametrize("sign", [1, -1])
def test_a_real_difference_is_seen_either_way(sign: int) -> None:
    draw = np.random.default_rng(1)
    found = epsilon_from_models(draw.normal(3 * sign, 1, 256), draw.normal(0, 1, 256))
    # Shift 3: the best single threshold has errors of 0.067 each, so log(0.933 / 0.067) = 2.6 at the point in the middle.
    assert 1.5 < found.epsilon <= found.ceiling
    assert found.n == 128


def test_equal_confidences_show_nothing() -> None:
    assert epsilon_from_models(np.zeros(20), np.zeros(20)).epsilon == 0.0


def test_what_is_no_count_is_refused() -> None:
    for counts in ((3, 2, 5), (-1, 2, 5), (1, 6, 5), (0, 0, 0)):
        with pytest.raises(InvalidParameter):
            epsilon_lower_bound(*counts)
    with pytest.raises(InvalidParameter):
        epsilon_lower_bound(1, 2, 2, delta=1.0)
    with pytest.raises(InvalidParameter):
        epsilon_from_errors(3, 2, 0, 2, delta=0.0)
    with pytest.raises(TooFewSamples):
        epsilon_from_errors(0, 0, 0, 2, delta=0.0)
    with pytest.raises(TooFewSamples):
        epsilon_from_models(np.zeros(3), np.zeros(10))
    with pytest.raises(InvalidParameter):
        epsilon_from_models(np.full(8, np.nan), np.zeros(8))
    assert isinstance(epsilon_lower_bound(1, 1, 1), EpsilonBound)
