import numpy as np
import pytest
from scipy.stats import binom, binomtest

from expunge.verify.statistics import (
    Matrix,
    Resampling,
    Scored,
    best,
    bootstrap_weights,
    exact_bounds,
    facts_needed,
    few_people,
    interval,
    replicates,
    resamplings,
    simultaneous_bounds,
)
from expunge.verify.thresholds import CONTRAST

TAU = 0.10


def independent(n: int) -> list[Resampling]:
    return resamplings([""] * n)


def hits(k: int, n: int, at_end: bool = False) -> Matrix:
    row = np.zeros((1, n))
    row[0, n - k :] = 1.0 if at_end else 0.0
    if not at_end:
        row[0, :k] = 1.0
    return row


@pytest.mark.parametrize("n", [1, 5, 29, 60, 400])
def test_exact_bounds_are_clopper_pearson(n: int) -> None:
    for k in {0, 1, n // 3, n - 1, n}:
        low, high = exact_bounds(k, n)
        published = binomtest(k, n).proportion_ci(0.90, method="exact")  # 5 % on each side
        assert (low, high) == pytest.approx((published.low, published.high), abs=1e-9)


def test_closed_forms_at_no_hit_and_all_hits() -> None:
    for n in (1, 10, 29, 100):
        assert exact_bounds(0, n) == pytest.approx((0.0, 1 - 0.05 ** (1 / n)))
        assert exact_bounds(n, n) == pytest.approx((0.05 ** (1 / n), 1.0))


def test_29_facts_without_a_hit_bound_a_rate_by_a_tenth_and_28_do_not() -> None:
    assert exact_bounds(0, 29)[1] <= TAU < exact_bounds(0, 28)[1]


def test_recovered_fraction_is_its_definition_at_the_best_setting() -> None:
    original = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]])
    unlearned = np.array([[0.0, 0, 0, 1], [0, 1, 0, 1]])
    control = np.array([[0.0, 0, 0, 1], [0, 0, 0, 0]])
    scored = Scored(original, unlearned, control)
    assert scored.recovered() == pytest.approx((0.5 - 0.25) / (1 - 0.25))
    assert Scored(original, original, control).recovered() == 1.0
    assert Scored(original, control, control).recovered() == 0.0
    assert Scored(original, np.zeros((2, 4)), control).recovered() < 0


def test_weights_are_counts_over_n_and_repeat() -> None:
    weights = bootstrap_weights(range(7))
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(weights)))
    assert np.allclose(weights * 7, np.round(weights * 7))
    assert np.array_equal(weights, bootstrap_weights(range(7)))


def test_the_bootstrap_has_the_spread_of_a_mean() -> None:
    scores = np.random.default_rng(0).random((1, 200))
    spread = replicates(scores, bootstrap_weights(range(200))).std()
    assert spread == pytest.approx(scores.std() / np.sqrt(200), rel=0.06)  # 2,000 draws: 1.6 % standard error


def test_the_best_setting_is_chosen_anew_in_every_sample() -> None:
    noise = np.random.default_rng(0).random((20, 30))
    weights = bootstrap_weights(range(30))
    assert np.array_equal(replicates(noise, weights), (noise @ weights.T).max(axis=0))


def test_an_interval_of_no_hits_has_a_width() -> None:
    assert interval(np.zeros((1, 20)), independent(20)) == pytest.approx((0.0, 1 - 0.05 ** (1 / 20)))


@pytest.mark.parametrize("k_original, passes", [(100, True), (60, True), (40, True), (32, False), (5, False)])
def test_the_contrast_must_be_there_with_confidence(k_original: int, passes: bool) -> None:
    scored = Scored(hits(k_original, 100), hits(0, 100), hits(2, 100))
    assert (scored.contrast_low(independent(100)) >= CONTRAST) is passes


def test_a_few_facts_have_no_contrast() -> None:
    n = 4
    assert Scored(hits(n, n), hits(0, n), hits(0, n)).contrast_low(independent(n)) < CONTRAST


@pytest.mark.parametrize("n", [20, 29, 40, 60, 100, 200])
def test_a_model_that_kept_a_tenth_passes_in_at_most_one_audit_of_twenty(n: int) -> None:
    """Exact, without simulation: the chance of a count whose upper bound is at most tau, when RF is tau."""
    weights = independent(n)
    passing = 0.0
    for k in range(n // 8 + 1):
        (bounds,) = simultaneous_bounds([Scored(hits(n, n), hits(k, n), hits(0, n))], weights)
        passing += float(binom.pmf(k, n, TAU)) if bounds[1] <= TAU else 0.0
    assert passing <= 0.05


def test_two_arms_with_the_same_hits_still_have_a_width() -> None:
    for k in (0, 1, 3):
        ((_, high),) = simultaneous_bounds([Scored(hits(20, 20), hits(k, 20), hits(k, 20))], independent(20))
        assert high > TAU


def test_scores_near_zero_are_no_more_certain_than_zeros() -> None:
    tiny = np.full((1, 20), 1e-6)
    ((_, high),) = simultaneous_bounds([Scored(np.full((1, 20), 0.99), tiny, tiny)], independent(20))
    assert high > TAU


def test_an_untouched_model_is_recovered_whole() -> None:
    ((low, high),) = simultaneous_bounds([Scored(hits(60, 60), hits(60, 60), hits(0, 60))], independent(60))
    assert 0.9 < low <= 1 <= high


def test_more_attacks_widen_the_bounds_and_never_narrow_them() -> None:
    rng = np.random.default_rng(1)
    weights = independent(80)
    many = [
        Scored(hits(80, 80), *(rng.random((2, 1, 80)) < 0.2).astype(float))  # type: ignore[arg-type]
        for _ in range(6)
    ]
    (alone,) = simultaneous_bounds(many[:1], weights)
    together = simultaneous_bounds(many, weights)[0]
    assert together[0] < alone[0]
    assert together[1] >= alone[1]


def audits_that_recover(rate_unlearned: float, rate_control: float, n_audits: int, n_facts: int = 60) -> float:
    """Share of audits with any RECOVERED, over five attacks of three settings each, of independent noise."""
    rng, weights, found = np.random.default_rng(7), [Resampling(bootstrap_weights(range(n_facts))[:600])], 0
    for _ in range(n_audits):
        attacks = [
            Scored(
                (rng.random((3, n_facts)) < 0.9).astype(float),
                (rng.random((3, n_facts)) < rate_unlearned).astype(float),
                (rng.random((3, n_facts)) < rate_control).astype(float),
            )
            for _ in range(5)
        ]
        found += any(low > TAU for low, _ in simultaneous_bounds(attacks, weights))
    return found / n_audits


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5])
def test_audits_of_a_model_that_never_knew_recover_nothing(rate: float) -> None:
    # 200 audits at a true rate of 5 % stay below 9 % in 99 of 100 seeds.
    assert audits_that_recover(rate, rate, 200) <= 0.09


def test_audits_of_a_model_that_knows_half_recover_it() -> None:
    assert audits_that_recover(0.5, 0.05, 30) == 1.0


def test_facts_needed_grows_with_noise_and_shrinks_with_contrast() -> None:
    assert facts_needed(0.0, 1.0, TAU) == 60
    assert facts_needed(0.1, 0.9, TAU) < facts_needed(0.3, 0.7, TAU) < facts_needed(0.3, 0.4, TAU)
    # (z_0.95 + z_0.80)^2 2 p (1 - p) / (tau contrast)^2, by hand
    assert facts_needed(0.2, 0.5, TAU) == pytest.approx(6.185 * 0.32 / 0.05**2, abs=2)


def test_the_facts_said_to_be_needed_give_the_power_they_promise() -> None:
    n = facts_needed(0.1, 0.9, TAU)
    rng, weights = np.random.default_rng(3), independent(n)
    passed = 0
    for _ in range(100):
        o, u, c = ((rng.random((1, n)) < p).astype(float) for p in (1.0, 0.1, 0.1))
        ((_, high),) = simultaneous_bounds([Scored(o, u, c)], weights)
        passed += high <= TAU
    assert passed >= 70  # 80 promised; 100 trials have a standard error of 4


def test_best_is_the_best_mean() -> None:
    assert best(np.array([[0.0, 1.0], [1.0, 1.0]])) == 1.0


def people(n_people: int, each: int) -> list[str]:
    return [f"person {i}" for i in range(n_people) for _ in range(each)]


def test_facts_and_people_are_resampled_and_one_person_or_nobody_leaves_facts_alone() -> None:
    both = resamplings(people(4, 5))
    assert [len(draws.weights_BN[0]) for draws in both] == [20, 20]
    assert both[0].widen == 1.0 < both[1].widen == few_people(4)
    by_person = both[1].weights_BN.reshape(-1, 4, 5)
    assert np.ptp(by_person, axis=2).max() == 0  # a person's facts are drawn together
    assert len(resamplings(people(1, 20))) == len(resamplings([""] * 20)) == len(resamplings(people(20, 1))) == 1


def test_people_who_are_remembered_as_wholes_widen_the_bounds() -> None:
    kept = np.zeros((1, 100))
    kept[0, :20] = 1.0  # all of one person's facts, nothing of the other four's
    scored = Scored(hits(100, 100), kept, hits(0, 100))
    ((by_fact, _),) = simultaneous_bounds([scored], independent(100))
    ((by_person, _),) = simultaneous_bounds([scored], resamplings(people(5, 20)))
    assert by_fact > TAU > by_person


@pytest.mark.parametrize("n_people", [4, 10])
def test_null_audits_recover_nothing_when_facts_of_a_person_go_together(n_people: int) -> None:
    """Correlation 0.5 within people: resampling facts alone raised a false RECOVERED in 43 % of such audits."""
    rng, found, n_audits, each = np.random.default_rng(11), 0, 200, 20
    draws = [Resampling(d.weights_BN[:600], d.widen) for d in resamplings(people(n_people, each))]

    def arm(rate: float) -> Matrix:
        whole = np.repeat((rng.random((1, n_people)) < rate).astype(float), each, axis=1)
        own = (rng.random((1, n_people * each)) < rate).astype(float)
        return np.where(rng.random((1, n_people * each)) < 0.5**0.5, whole, own)

    for _ in range(n_audits):
        attacks = [Scored(hits(n_people * each, n_people * each), arm(0.15), arm(0.15)) for _ in range(5)]
        usable = [a for a in attacks if a.contrast_low(draws) >= CONTRAST]
        found += any(low > TAU for low, _ in simultaneous_bounds(usable, draws))
    assert found / n_audits <= 0.09  # 5 % and three standard errors
