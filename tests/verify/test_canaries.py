from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.synthetic import facts, people, records
from expunge.testing import contract
from expunge.verify.attacks._target import Target
from expunge.verify.canaries import Guesses, audit_canaries, plant

IDS = [f"canary-{i}" for i in range(200)]


def randomised_response(coins: list[bool], epsilon: float, seed: int) -> list[float]:
    """Shows each coin as it is with probability e^eps / (1 + e^eps); a mechanism whose epsilon is known."""
    draw = np.random.default_rng(seed)
    kept = draw.random(len(coins)) < 1 / (1 + np.exp(-epsilon))
    return (np.where(kept, coins, ~np.array(coins)) + draw.normal(0, 0.01, len(coins))).tolist()


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("plans, two_sided", [([Guesses(50, 50)], False), ([Guesses(20, 20), Guesses(80, 80)], True)])
def test_the_bound_exceeds_the_truth_in_at_most_five_percent(
    epsilon: float, plans: list[Guesses], two_sided: bool
) -> None:
    runs, wrong, shown = 250, 0, []
    for seed in range(runs):
        coins = plant(IDS, f"run {seed}".encode())
        scores = randomised_response(coins, epsilon, seed)
        bound = audit_canaries(scores, coins, plans, two_sided=two_sided, delta=0.0).bound
        wrong += bound.epsilon > epsilon
        shown.append(bound.epsilon)
    assert binom.sf(wrong - 1, runs, 0.05) > 0.001
    if epsilon >= 0.5:
        assert np.mean(shown) > epsilon / 4  # it says something


def test_choosing_the_number_of_guesses_afterwards_would_break_it() -> None:
    """The control of the test above: the best of many plans without the correction is above 0 far too often."""
    plans, runs = [Guesses(k, k) for k in range(10, 101, 10)], 100
    free = paid = 0
    for seed in range(runs):
        coins = plant(IDS, f"null {seed}".encode())
        scores = randomised_response(coins, 0.0, seed)
        paid += audit_canaries(scores, coins, plans, delta=0.0).bound.epsilon > 0
        free += any(
            audit_canaries(scores, coins, [plan], two_sided=False, delta=0.0).bound.epsilon > 0 for plan in plans
        )
    assert binom.sf(paid - 1, runs, 0.05) > 0.001
    assert binom.sf(free - 1, runs, 0.05) < 1e-4


def test_what_was_pushed_below_strangers_is_seen_only_both_ways() -> None:
    coins = plant(IDS, b"s")
    scores = [-float(c) for c in coins]
    plan = [Guesses(80, 80)]
    assert audit_canaries(scores, coins, plan, two_sided=False).bound.epsilon == 0.0
    found = audit_canaries(scores, coins, plan)
    assert found.bound.epsilon > 3
    assert found.reversed
    assert found.plans == 2
    assert found.n_correct == 160


def test_guesses_are_the_extremes_and_the_middle_abstains() -> None:
    coins = [True, False, True, False, True, False]
    scores = [9.0, 8.0, 5.0, 4.0, 2.0, 1.0]
    assert audit_canaries(scores, coins, [Guesses(1, 1)], two_sided=False).n_correct == 2
    assert audit_canaries(scores, coins, [Guesses(2, 2)], two_sided=False).n_correct == 2
    assert audit_canaries(scores, coins, [Guesses(0, 1)], two_sided=False).n_correct == 1
    assert audit_canaries(scores, coins, [Guesses(3, 0)], two_sided=False).n_correct == 2


def test_equal_scores_give_nothing_away() -> None:
    found = [
        audit_canaries([0.0] * 200, plant(IDS, bytes([k + 1])), [Guesses(100, 100)]).bound.epsilon for k in range(40)
    ]
    assert binom.sf(sum(e > 0 for e in found) - 1, 40, 0.05) > 0.001


def test_coins_are_fair_keyed_and_can_be_tossed_again() -> None:
    share = np.mean([plant(IDS, f"{k}".encode()) for k in range(50)], axis=0)
    assert 0.49 < share.mean() < 0.51
    assert share.max() < 0.85
    assert plant(IDS, b"a") != plant(IDS, b"b")
    assert plant(IDS[50:60], b"a") == plant(IDS, b"a")[50:60]
    with pytest.raises(InvalidParameter, match="not unique"):
        plant(["x", "x"], b"a")
    with pytest.raises(InvalidParameter, match="secret"):
        plant(IDS, b"")


def test_text_says_what_it_rests_on() -> None:
    coins = plant(IDS, b"s")
    text = str(audit_canaries(randomised_response(coins, 1.0, 0), coins, [Guesses(50, 50)]))
    assert all(part in text for part in ("lower bound", "95%", "n = 100", "at most", "200 canaries", "2 plans"))


def test_what_cannot_be_guessed_is_refused() -> None:
    with pytest.raises(TooFewSamples, match="3 guesses for 2 canaries"):
        audit_canaries([0.0, 1.0], [True, False], [Guesses(2, 1)])
    with pytest.raises(TooFewSamples, match="no plan"):
        audit_canaries([0.0, 1.0], [True, False], [])
    with pytest.raises(InvalidParameter, match="not numbers"):
        audit_canaries([0.0, float("nan")], [True, False], [Guesses(1, 1)])
    with pytest.raises(InvalidParameter, match="2 scores for 1"):
        audit_canaries([0.0, 1.0], [True], [Guesses(1, 1)])
    with pytest.raises(InvalidParameter):
        Guesses(0, 0)


def test_canaries_that_went_into_a_model_are_found_in_it_and_not_in_one_that_never_saw_any(
    trained: Any, control: Any
) -> None:
    everybody = people(8, skip=20)
    given = {f.id: f for f in facts(everybody)}
    rows = {r.id.removesuffix("/0"): r for r in records(everybody, [0])}
    coins = plant(list(given), b"auditor")
    learned = contract.taught(
        tuple(rows[i] for i, c in zip(given, coins, strict=True) if c), trained.tokenizer, seed=3, steps=120
    )

    def bound(model: Any) -> float:
        logp = Target(model, trained.tokenizer).value_logp(list(given.values()))
        return audit_canaries([sum(r) / len(r) for r in logp], coins, [Guesses(60, 60)]).bound.epsilon

    assert bound(learned) > 1.0
    assert bound(control) == 0.0  # what unlearning all of them should come to
