import numpy as np
import pytest
from scipy.stats import norm

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.membership import lira, log_likelihood_ratio, log_odds, logit_confidence, offline_lira
from expunge.verify.membership.likelihood_ratio import Bools, Density, Floats
from expunge.verify.metrics.auc import auc


def simulated(seed: int, models: int, examples: int, gain: float, ease: float) -> tuple[Floats, Bools]:
    """phi = how easy the example is (N(0, ease)) + gain if trained on it + N(0, 1)."""
    draw = np.random.default_rng(seed)
    included = draw.random((models, examples)) < 0.5
    phi = draw.normal(0, ease, examples) + gain * included + draw.normal(0, 1, (models, examples))
    return phi, included


def measured(phi: Floats, included: Bools, score: Floats) -> float:
    return auc(score[included].tolist(), score[~included].tolist())


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.5, 3.0])
def test_the_auc_is_that_of_two_normal_distributions(gain: float) -> None:
    # Theory knows the means and variances; a thousand shadows come near it. About 3,000 scores a side: +-0.015.
    phi, included = simulated(0, 1005, 1500, gain, ease=0.0)
    score = np.stack([lira(phi[k], phi[5:], included[5:]) for k in range(4)])
    assert measured(phi[:4], included[:4], score) == pytest.approx(norm.cdf(gain / 2**0.5), abs=0.025)


@pytest.mark.parametrize("models, density", [(32, "gaussian"), (128, "gaussian"), (64, "kde")])
def test_easy_and_hard_examples_are_told_apart_from_members(models: int, density: Density) -> None:
    phi, included = simulated(1, models + 1, 800, gain=2.0, ease=5.0)
    found = measured(phi[0], included[0], lira(phi[0], phi[1:], included[1:], density))
    one_threshold = measured(phi[0], included[0], phi[0])
    assert found > 0.88  # 0.92 with known means
    assert one_threshold < 0.65  # 0.61 in theory: Phi(2 / sqrt(2 (1 + 25)))


def test_offline_needs_only_models_that_never_saw_it() -> None:
    phi, included = simulated(2, 65, 1000, gain=2.0, ease=5.0)
    score = offline_lira(phi[0], phi[1:], ~included[1:])
    assert measured(phi[0], included[0], score) > 0.88
    never = np.where(included[1:], np.nan, phi[1:])
    with np.errstate(invalid="ignore"):
        assert np.isfinite(offline_lira(phi[0], np.nan_to_num(never), ~included[1:])).all()


def test_few_models_share_one_variance_taken_within_examples() -> None:
    phi, included = simulated(3, 16, 400, gain=1.0, ease=10.0)
    ratio = log_likelihood_ratio(phi[0], phi[1:], included[1:], ~included[1:])
    within = []
    for side in (included[1:], ~included[1:]):
        means = [phi[1:][side[:, i], i].mean() for i in range(400)]
        squares = sum(((phi[1:][side[:, i], i] - means[i]) ** 2).sum() for i in range(400))
        sigma = (squares / (side.sum() - 400)) ** 0.5
        assert sigma == pytest.approx(1.0, abs=0.05)  # the spread over all examples would be 10
        within.append(norm.logpdf(phi[0], means, sigma))
    assert ratio.tolist() == pytest.approx((within[0] - within[1]).tolist())


def test_the_confidence_is_the_log_odds_of_the_label() -> None:
    draw = np.random.default_rng(4)
    logits, labels = draw.normal(0, 3, (20, 7)), draw.integers(0, 7, 20)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = p[np.arange(20), labels]
    assert logit_confidence(logits, labels).tolist() == pytest.approx(np.log(true / (1 - true)).tolist())
    assert log_odds(np.log(true)).tolist() == pytest.approx(np.log(true / (1 - true)).tolist())
    assert np.isfinite(log_odds(np.array([0.0, -1e-20]))).all()


def test_without_models_of_both_kinds_there_is_no_ratio() -> None:
    phi, included = simulated(5, 8, 3, 1.0, 0.0)
    with pytest.raises(TooFewSamples, match="0 models of one kind"):
        lira(phi[0], phi, np.zeros_like(included))
    with pytest.raises(TooFewSamples, match="10 models of each kind"):
        lira(phi[0], phi, included, "kde")
    same = np.zeros((40, 1))
    half = np.arange(40)[:, None] < 20
    with pytest.raises(TooFewSamples, match="same confidence"):
        lira(np.zeros(1), same, half, "kde")


def test_arrays_that_do_not_fit_are_refused() -> None:
    phi, included = simulated(6, 8, 3, 1.0, 0.0)
    with pytest.raises(InvalidParameter, match="masks as large"):
        lira(phi[0], phi, included[:4])
    with pytest.raises(InvalidParameter, match="not a number"):
        lira(phi[0] * np.nan, phi, included)
    with pytest.raises(InvalidParameter, match="both hypotheses"):
        log_likelihood_ratio(phi[0], phi, included | True, ~included)
