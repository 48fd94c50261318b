"""The planner predicts, coalesces and limits; it never loses a request."""

import numpy as np
import pytest

from expunge.core import Route
from expunge.core.errors import EmptyForgetSet, InvalidParameter, NotReady, RateLimited, UnknownSubject
from expunge.core.placement import SHARD, SLICE, place
from expunge.exact import MultinomialNB, Planner, expected_cost, expected_cost_with_prior

X = np.arange(40).reshape(20, 2)
Y = np.arange(20) % 2
WHO = [f"u{i}" for i in range(20)]


def learner() -> MultinomialNB:
    return MultinomialNB(salt=b"s").fit(X, Y, subjects=WHO)


@pytest.mark.parametrize("shards, slices, k", [(20, 1, 1), (20, 10, 1), (20, 10, 8), (5, 4, 3), (50, 20, 20)])
def test_the_formula_is_the_mean_over_random_requests(shards: int, slices: int, k: int) -> None:
    rng = np.random.default_rng(0)
    total, draws = 0.0, 4000
    for _ in range(draws):
        first: dict[int, int] = {}
        for s, r in zip(rng.integers(shards, size=k), rng.integers(slices, size=k), strict=True):
            first[s] = min(first.get(s, slices), r)
        total += sum(sum(range(r + 1, slices + 1)) for r in first.values())
    simulated = total / draws * 2 / (slices + 1) / (shards * slices)
    assert expected_cost(shards, slices, k) == pytest.approx(simulated, rel=0.05)


def test_sharding_alone_touches_as_many_units_as_draws_without_return() -> None:
    assert expected_cost(20, 1, 1) == pytest.approx(1 / 20)
    assert expected_cost(20, 1, 10**6) == pytest.approx(1.0)
    assert expected_cost(1, 7, 10**6) == pytest.approx(1.0)


def test_an_even_prior_gives_the_formula_without_one() -> None:
    shards, slices, k = 4, 3, 5
    work = [[2 / (slices + 1) * (j + 1) / (shards * slices) for j in range(slices)]] * shards
    mass = [[1 / (shards * slices)] * slices] * shards
    assert expected_cost_with_prior(work, mass, k) == pytest.approx(expected_cost(shards, slices, k))


def test_the_formula_agrees_with_keyed_placement() -> None:
    """Places drawn by the keyed hash of people, not by a random generator."""
    shards, slices, costs = 20, 10, []
    for i in range(3000):
        name = f"person {i}"
        place(name, b"salt", shards, SHARD)
        r = place(name, b"salt", slices, SLICE)
        costs.append(2 / (slices + 1) * sum(range(r + 1, slices + 1)) / (slices * shards))
    assert np.mean(costs) == pytest.approx(expected_cost(shards, slices, 1), rel=0.05)


def test_requests_that_wait_are_carried_out_as_one() -> None:
    model = learner()
    planner = Planner(model, wait_s=100)
    planner.ask(["u1"], now_s=0)
    plan = planner.ask(["u2"], [5], now_s=50)
    assert plan.n_removed == 3
    assert model.n_records == 20
    assert planner.due_s() == 100
    deletion = planner.carry_out(now_s=60)
    assert deletion.plan.n_removed == 3
    assert model.n_records == 17
    assert planner.due_s() is None
    keep = [i for i in range(20) if i not in (1, 2, 5)]
    assert model.digest() == MultinomialNB(salt=b"s").fit(X[keep], Y[keep], subjects=[WHO[i] for i in keep]).digest()


def test_a_request_that_cannot_be_planned_is_not_in_line() -> None:
    planner = Planner(learner(), wait_s=10)
    with pytest.raises(UnknownSubject):
        planner.ask(["nobody"], now_s=0)
    with pytest.raises(EmptyForgetSet):
        planner.ask(now_s=0)
    assert planner.plan() is None
    with pytest.raises(NotReady):
        planner.carry_out(now_s=0)


def test_expensive_deletions_wait_for_the_period_but_never_beyond_their_clock() -> None:
    model = learner()
    planner = Planner(model, wait_s=1000, work_limit=0.3, period_s=100)
    planner.ask(["u0", "u1", "u2", "u3"], now_s=0)
    planner.carry_out(now_s=0)  # 4/16 of a fit, 0.05 left
    planner.ask(["u4", "u5"], now_s=1)
    with pytest.raises(RateLimited, match="due at 1001"):
        planner.carry_out(now_s=1)
    assert model.n_records == 16
    planner.carry_out(now_s=40)  # refilled meanwhile
    assert model.n_records == 14
    planner.ask([f"u{i}" for i in range(6, 13)], now_s=41)  # more than a whole period may cost
    with pytest.raises(RateLimited):
        planner.carry_out(now_s=900)
    planner.carry_out(now_s=1041)  # due: done whatever it costs
    assert model.n_records == 7


def test_above_four_fifths_of_a_fit_the_plan_is_a_fit() -> None:
    model = learner()
    assert model.plan(subjects=WHO[:8]).route is Route.SUBTRACT
    plan = model.plan(subjects=WHO[:10])
    assert plan.route is Route.RETRAIN
    model.forget(subjects=WHO[:10])
    assert model.digest() == MultinomialNB(salt=b"s").fit(X[10:], Y[10:], subjects=WHO[10:]).digest()


@pytest.mark.parametrize("bad", [{"wait_s": -1}, {"wait_s": 1, "work_limit": 0}, {"wait_s": 1, "period_s": 0}])
def test_limits_that_mean_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidParameter):
        Planner(learner(), **bad)


def test_a_single_name_is_not_taken_for_its_letters() -> None:
    planner = Planner(MultinomialNB(salt=b"s").fit(np.eye(4), [0, 1, 0, 1], subjects=list("abcd")), wait_s=1)
    with pytest.raises(InvalidParameter, match="list of names"):
        planner.ask("ab", now_s=0)
    assert planner.plan() is None


def test_a_name_forgotten_directly_leaves_the_line_and_blocks_nobody() -> None:
    model = learner()
    planner = Planner(model, wait_s=10)
    planner.ask(["u1", "u2"], [5], now_s=0)
    planner.ask(["u3"], now_s=1)
    model.forget(subjects=["u1", "u3"], records=[5])
    planner.ask(["u4"], now_s=2)
    deletion = planner.carry_out(now_s=10)
    assert deletion.plan.n_removed == 2  # u2 and u4
    with pytest.raises(NotReady):
        planner.carry_out(now_s=11)
    planner.ask(["u6"], now_s=12)
    model.forget(subjects=["u6"])
    assert planner.plan() is None
