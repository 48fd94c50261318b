import numpy as np
import pytest
from scipy.stats import norm

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.membership.rmia import probability_ratio, rmia, rmia_among
from expunge.verify.metrics.auc import auc


def test_it_is_the_papers_count_pair_by_pair() -> None:
    draw = np.random.default_rng(0)
    p, outs = draw.random(20), draw.random((3, 20))
    z, z_outs = draw.random(15), draw.random((3, 15))
    for a in (0.0, 0.3, 1.0):
        for gamma in (1.0, 1.5):
            expected = []
            for i in range(20):
                r_x = p[i] / ((1 + a) / 2 * outs[:, i].mean() + (1 - a) / 2)
                beaten = 0
                for j in range(15):
                    r_z = z[j] / ((1 + a) / 2 * z_outs[:, j].mean() + (1 - a) / 2)
                    beaten += r_x / r_z > gamma
                expected.append(beaten / 15)
            found = rmia(probability_ratio(p, outs, a), probability_ratio(z, z_outs, a), gamma)
            assert found.tolist() == pytest.approx(expected)


def test_the_auc_is_that_of_the_two_ratios_in_theory() -> None:
    # log p(x) - log p_out(x) ~ N(d, 1) for members, N(0, 1) for strangers: AUC = Phi(d / sqrt 2), by rank alone.
    draw, d, n = np.random.default_rng(1), 1.2, 3000
    members, strangers = np.exp(draw.normal(d, 1, n)), np.exp(draw.normal(0, 1, n))
    found = auc(rmia(members, strangers).tolist(), rmia_among(strangers).tolist())
    assert found == pytest.approx(norm.cdf(d / 2**0.5), abs=0.02)


def test_easy_examples_do_not_pass_for_members() -> None:
    # Non-members that every model finds likely beside members that every model finds unlikely.
    easy, hard = np.full(50, 0.9), np.full(50, 0.2)
    draw = np.random.default_rng(2)
    z = np.clip(draw.normal(0.5, 0.1, 100), 0.01, 1)
    z_out = np.clip(z * np.exp(draw.normal(0, 0.05, 100)), 0.01, 1)[None]
    strangers = probability_ratio(z, z_out, a=1.0)
    members = rmia(probability_ratio(hard, hard[None] / 2, a=1.0), strangers)
    others = rmia(probability_ratio(easy, easy[None], a=1.0), strangers)
    assert auc(hard.tolist(), easy.tolist()) == 0.0
    assert auc(members.tolist(), others.tolist()) == 1.0


def test_a_stranger_is_not_compared_with_itself() -> None:
    z = np.array([3.0, 1.0, 2.0, 2.0])
    expected = [sum(a > b for j, b in enumerate(z) if j != i) / 3 for i, a in enumerate(z)]
    assert rmia_among(z).tolist() == pytest.approx(expected)


def test_models_that_saw_an_example_are_left_out_for_it() -> None:
    outs = np.array([[0.2, 0.9], [0.9, 0.4]])
    never = np.array([[True, False], [False, True]])
    assert probability_ratio(np.array([0.4, 0.4]), outs, 1.0, never).tolist() == pytest.approx([2.0, 1.0])
    with pytest.raises(TooFewSamples, match="never saw it"):
        probability_ratio(np.array([0.4, 0.4]), outs, 1.0, np.array([[True, False], [True, False]]))


def test_what_is_no_probability_is_refused() -> None:
    ones = np.ones((1, 1))
    for p in (1.5, -0.1, float("nan")):
        with pytest.raises(InvalidParameter, match="probabilities"):
            probability_ratio(np.array([p]), ones)
    with pytest.raises(InvalidParameter):
        probability_ratio(np.ones(1), ones, a=1.1)
    with pytest.raises(InvalidParameter):
        rmia(np.ones(1), np.ones(1), gamma=0.5)
    with pytest.raises(TooFewSamples):
        rmia(np.ones(1), np.ones(0))
    with pytest.raises(TooFewSamples):
        rmia_among(np.ones(1))
