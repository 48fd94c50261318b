import random

import numpy as np
import pytest
from scipy.stats import binom

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.auc import auc
from expunge.verify.metrics.auc_interval import (
    Sample,
    auc_difference,
    auc_interval,
    null_half_width,
)


def normal(seed: int, shift: float, n: int, per_unit: int = 1, spread: float = 0.0) -> Sample:
    """Scores of n members and n others; those of one subject share a part of size `spread`."""
    draw = np.random.default_rng(seed)
    shared = np.repeat(draw.normal(0, spread, (2, n // per_unit)), per_unit, axis=1)
    members, others = draw.normal(0, 1, (2, n)) + shared
    units = [f"{i // per_unit}" for i in range(n)]
    return Sample((members + shift).tolist(), others.tolist(), [f"m{u}" for u in units], [f"o{u}" for u in units])


def test_a_replicate_is_the_auc_of_the_drawn_facts() -> None:
    draw = random.Random(0)
    values = [draw.choice([0.0, 1.0, 2.0, draw.random()]) for _ in range(40)]
    sample = Sample(values[:15], values[15:], [str(i % 6) for i in range(15)], [str(i % 7) for i in range(25)])
    found = auc_interval(sample, n_boot=300, seed=3)
    generator, expected = np.random.default_rng(3), []
    blocks = []
    for done in (0, 200):
        size = min(200, 300 - done)
        blocks.append((generator.multinomial(6, [1 / 6] * 6, size), generator.multinomial(7, [1 / 7] * 7, size)))
    for counts_m, counts_o in blocks:
        for cm, co in zip(counts_m, counts_o, strict=True):
            won = total = 0.0
            for i, a in enumerate(sample.members):
                for j, b in enumerate(sample.others):
                    weight = cm[i % 6] * co[j % 7]
                    won, total = won + weight * ((a > b) + (a == b) / 2), total + weight
            expected.append(won / total)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])), abs=1e-12)


def test_the_interval_covers_the_truth_though_facts_come_in_subjects() -> None:
    # 200 facts of 20 subjects, whose facts share half of the variance: independent facts would be covered far too rarely.
    covered = naive = 0
    runs = 60
    for seed in range(runs):
        sample = normal(seed, 0.0, 200, per_unit=10, spread=1.0)
        found = auc_interval(sample, n_boot=400)
        covered += found.low <= 0.5 <= found.high
        alone = Sample(sample.members, sample.others, [f"{i}" for i in range(200)], [f"{i}" for i in range(200)])
        free = auc_interval(alone, n_boot=400)
        naive += free.low <= 0.5 <= free.high
    assert binom.cdf(covered, runs, 0.90) > 0.001  # percentile intervals of 20 subjects cover a little less than 95 %
    assert binom.cdf(naive, runs, 0.90) < 0.001


def test_where_all_replicates_agree_the_exact_bound_stands() -> None:
    for sign in (1.0, -1.0):
        sample = Sample([sign] * 29, [0.0] * 40, list(map(str, range(29))), list(map(str, range(40))))
        found = auc_interval(sample)
        assert (found.low, found.high) == ((pytest.approx(0.05 ** (1 / 29)), 1.0) if sign > 0 else (0.0, found.high))
        assert found.n_units == 29
        assert 0.9 < max(found.low, 1 - found.high) < 1.0


def test_the_arms_of_a_difference_are_paired() -> None:
    one = normal(0, 0.5, 60)
    same = auc_difference(one, one)
    assert (same.value, same.low, same.high, same.equivalent) == (0.0, 0.0, 0.0, True)
    nudged = Sample([x + 0.1 for x in one.members], one.others, one.member_units, one.other_units)
    paired = auc_difference(nudged, one)
    alone = auc_interval(one, level=0.90)
    assert paired.high - paired.low < (alone.high - alone.low) / 3


@pytest.mark.parametrize("n, shift, equivalent", [(400, 0.0, True), (400, 0.5, False), (20, 0.0, False)])
def test_equivalence_needs_a_small_difference_and_enough_facts(n: int, shift: float, equivalent: bool) -> None:
    found = auc_difference(normal(1, shift, n), normal(2, 0.0, n), margin=0.1)
    assert found.equivalent is equivalent
    assert found.n_units == n


def test_equivalence_is_declared_wrongly_in_at_most_five_percent() -> None:
    # The truth lies on the margin: AUC 0.638 (shift 0.5) beside 0.5, margin 0.138.
    wrong, runs = 0, 80
    for seed in range(runs):
        found = auc_difference(normal(seed, 0.5, 100), normal(1000 + seed, 0.0, 100), margin=0.1382, n_boot=400)
        wrong += found.equivalent
    assert binom.sf(wrong - 1, runs, 0.05) > 0.001


def test_half_width_at_chance_is_that_of_the_mann_whitney_statistic() -> None:
    draw = np.random.default_rng(0)
    found = [auc(draw.normal(size=40).tolist(), draw.normal(size=60).tolist()) for _ in range(2000)]
    assert 1.96 * np.std(found) == pytest.approx(null_half_width(40, 60), rel=0.05)


def test_what_cannot_be_compared_is_refused() -> None:
    one = normal(0, 0.0, 10)
    other = Sample(one.members, one.others, one.member_units[::-1], one.other_units)
    with pytest.raises(InvalidParameter, match="same facts"):
        auc_difference(one, other)
    with pytest.raises(InvalidParameter, match="not numbers"):
        auc_interval(Sample([float("nan")], [0.0], ["a"], ["b"]))
    with pytest.raises(InvalidParameter, match="as many units"):
        Sample([1.0], [0.0], [], ["b"])
    with pytest.raises(TooFewSamples):
        Sample([], [0.0], [], ["b"])
