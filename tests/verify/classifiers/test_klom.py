"""Divergence of the margins of two ensembles."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy

from expunge.core import Outcome
from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.classifiers import ShadowModels, audit_classifier, klom
from expunge.verify.classifiers.direct import Direct
from expunge.verify.classifiers.klom import _counts, _one_hot, klom_finding


@pytest.mark.parametrize(("mu", "sigma"), [(1.0, 1.0), (0.0, 2.0), (0.5, 1.5)])
def test_gaussian_margins_have_their_known_divergence(mu: float, sigma: float) -> None:
    """KL(N(mu, sigma²) || N(0, s²)) in closed form. 20 bins over about 8 sd lose some of it, and never add: data
    processing. 15 % is what bins of 0.4 sd lose at these parameters."""
    draw, s = np.random.default_rng(0), 2.0
    p, q = draw.normal(mu, sigma, size=(40_000, 1)), draw.normal(0, s, size=(40_000, 1))
    exact = np.log(s / sigma) + (sigma**2 + mu**2) / (2 * s**2) - 0.5
    found = klom(p, q).median
    assert found <= exact + 0.01
    assert found == pytest.approx(exact, rel=0.15, abs=0.01)


def test_histograms_are_those_of_numpy() -> None:
    draw = np.random.default_rng(1)
    p, q = draw.normal(size=(30, 4)), draw.normal(1, size=(25, 4))
    both = np.concatenate([p, q])
    counts = _counts(_one_hot(both, 20), np.arange(55) < 30, 20)
    for n in range(4):
        edges = np.linspace(both[:, n].min(), both[:, n].max(), 21)
        for side, values in zip(counts, (p, q), strict=True):
            assert side[n].tolist() == np.histogram(values[:, n], edges)[0].tolist()


def test_equals_the_published_code_but_for_the_largest_margin() -> None:
    """The authors' code, which leaves the largest margin out of its histogram, on margins whose largest is far away in q."""
    draw = np.random.default_rng(2)
    p, q = draw.normal(size=(40, 1)), np.concatenate([draw.normal(size=(39, 1)), [[1000.0]]])
    low, high = min(p.min(), q.min()), 100.0
    edges = np.linspace(low, high, 21)
    ph, qh = (np.histogram(np.clip(x, -100, 100), edges)[0].astype(float) for x in (p, q))
    expected = entropy(ph, np.where(ph > 0, np.maximum(qh / qh.sum(), 1e-5), qh / qh.sum()))
    assert klom(p, q).median == pytest.approx(expected)


def test_few_models_look_different_and_the_floor_says_so() -> None:
    draw = np.random.default_rng(3)
    found = klom(draw.normal(size=(20, 200)), draw.normal(size=(20, 200)))
    assert found.median > 1  # nats, between samples of one distribution
    assert found.median == pytest.approx(found.floor_median, rel=0.1)
    assert found.p_value > 0.05


def test_a_shift_beyond_the_floor_is_seen() -> None:
    draw = np.random.default_rng(4)
    found = klom(draw.normal(0.7, 1, size=(25, 100)), draw.normal(size=(25, 100)))
    assert found.p_value < 0.01
    assert found.mean > found.floor_mean


def test_fewer_than_twenty_models_are_refused() -> None:
    with pytest.raises(TooFewSamples, match="20 models on either side, got 19"):
        klom(np.zeros((19, 3)), np.zeros((20, 3)))
    with pytest.raises(InvalidParameter, match="same rows"):
        klom(np.zeros((20, 3)), np.zeros((20, 4)))


def test_margins_that_are_all_alike_do_not_differ() -> None:
    found = klom(np.full((20, 3), 100.0), np.full((20, 3), 250.0))  # both are cut at 100
    assert (found.median, found.p_value) == (0.0, 1.0)


def test_a_finding_needs_the_scale_of_the_original() -> None:
    draw = np.random.default_rng(5)
    never, half, full = (draw.normal(mu, 1, size=(25, 60)) for mu in (0.0, 1.0, 2.0))
    same = draw.normal(size=(25, 60))
    assert klom_finding(klom(half, never), None).outcome is Outcome.INCONCLUSIVE
    left = klom_finding(klom(half, never), klom(full, never))
    assert left.outcome is Outcome.RECOVERED
    assert left.recovered is not None
    assert 0.1 < left.recovered < 0.9
    assert klom_finding(klom(same, never), klom(full, never)).outcome is Outcome.INCONCLUSIVE  # never a pass
    assert klom_finding(klom(half, never), klom(same, never)).outcome is Outcome.NO_CONTRAST


def test_ensembles_of_classifiers_are_compared_in_an_audit(one_class: Any) -> None:
    """Nearest means with jitter stand for models of many seeds: they are trained in no time."""
    from sklearn.naive_bayes import GaussianNB

    sets, draw = one_class.sets, np.random.default_rng(6)
    X, y = np.concatenate([sets.forget.X, sets.retain.X]), np.concatenate([sets.forget.y, sets.retain.y])

    def some(X: Any, y: Any, n: int) -> list[Any]:
        parts = [draw.choice(len(y), 2 * len(y) // 3, replace=False) for _ in range(n)]
        return [GaussianNB(var_smoothing=0.1).fit(X[at], y[at]) for at in parts]

    shadows = ShadowModels(
        unlearned=some(sets.retain.X, sets.retain.y, 20),
        never_saw=some(sets.retain.X, sets.retain.y, 20),
        original=some(X, y, 20),
    )
    (original,), (unlearned, control) = some(X, y, 1), some(sets.retain.X, sets.retain.y, 2)
    audit = audit_classifier(
        original=original,
        unlearned=unlearned,
        control=control,
        **one_class.rows(),
        shadows=shadows,
        attacks=(Direct(),),
    )
    assert set(audit.klom) == {"forget", "retain", "holdout"}
    assert audit.klom["retain"].p_value > 0.01
    by_name = {f.attack: f for f in audit.ensembles}
    assert by_name["klom"].outcome is Outcome.INCONCLUSIVE
    assert by_name["u_lira"].outcome is Outcome.INCONCLUSIVE
    few = ShadowModels(unlearned=shadows.unlearned[:3], never_saw=shadows.never_saw[:3])
    audit = audit_classifier(
        original=original,
        unlearned=unlearned,
        control=control,
        **one_class.rows(),
        shadows=few,
        attacks=(Direct(),),
    )
    assert all("got 3" in f.reason for f in audit.ensembles)
