"""Retained skill and its bound, against a plain bootstrap and against how models that lost nothing fall."""

import numpy as np
import pytest

from expunge.verify.skill import skill


def test_one_person_of_three_may_be_badly_learned_by_chance_and_all_of_them_not() -> None:
    people = [who for who in "abc" for _ in range(6)]
    one, all_of_them = skill([0] * 6 + [1] * 12, [1] * 18, people), skill([0, 1] * 9, [1] * 18, people)
    assert one is not None
    assert all_of_them is not None
    assert (round(one.share, 3), one.high > 0.9) == (0.667, True)
    assert (all_of_them.share, all_of_them.high < 0.9) == (0.5, True)


def test_the_bound_is_that_of_a_plain_bootstrap_of_facts() -> None:
    draw = np.random.default_rng(1)
    own, other = draw.random(300) < 0.6, draw.random(300) < 0.9
    found = skill([*own.astype(float)], [*other.astype(float)], [""] * 300)
    drawn = draw.integers(0, 300, (4000, 300))
    plain = np.quantile(own[drawn].sum(axis=1) / other[drawn].sum(axis=1), 0.95)
    assert found is not None
    assert found.high == pytest.approx(plain, abs=0.01)


def test_a_model_whose_true_skill_is_the_controls_is_rarely_bounded_below_it() -> None:
    draw, below = np.random.default_rng(2), 0
    people = [f"{i}" for i in range(6) for _ in range(6)]
    for _ in range(200):  # people are remembered whole, most of them
        own, other = (np.repeat(draw.random(6) < 0.8, 6).astype(float) for _ in range(2))
        found = skill([*own], [*other], people)
        below += found is not None and found.high < 1.0
    assert below <= 200 * 0.1


def test_what_cannot_be_compared_is_not_measured() -> None:
    assert skill([], [], []) is None
    assert skill([1.0], [1.0, 1.0], ["a"]) is None
    assert skill([1.0], [1.0], []) is None
    assert skill([0.2] * 4, [0.2] * 4, [""] * 4) is None
    assert skill([0.2] * 4, [0.2] * 4, [""] * 4, least=0.0) is not None
    assert skill([float("nan")] * 4, [1.0] * 4, [""] * 4) is None
