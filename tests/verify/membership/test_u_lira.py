"""U-LiRA on a learner that memorises, with an unlearning that does nothing, one that hides, and one that retrains."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import Ridge

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.membership import Shadows, cross_u_lira, shadow_models, u_lira
from expunge.verify.membership.likelihood_ratio import Floats
from expunge.verify.metrics.auc import auc

N, FEATURES, MODELS = 40, 60, 24
Model = tuple[list[int], int, Floats]  # what it was trained on, its seed, its weights

_draw = np.random.default_rng(0)
X, Y = _draw.normal(size=(N, FEATURES)), _draw.choice([-1.0, 1.0], N)


def train(ids: list[int], seed: int) -> Model:
    """Ridge regression on labels that are coin tosses, with a row of noise that stands for the rest of the training."""
    draw = np.random.default_rng(seed)
    rows, labels = np.vstack([X[ids], draw.normal(size=(10, FEATURES))]), np.append(Y[ids], draw.normal(size=10))
    return ids, seed, Ridge(alpha=20.0, fit_intercept=False).fit(rows, labels).coef_


def retrain(model: Model, gone: list[int]) -> Model:
    ids, seed, _ = model
    return train([i for i in ids if i not in gone], seed + 1)


def nothing(model: Model, gone: list[int]) -> Model:
    return model


def halfway(model: Model, gone: list[int]) -> Model:
    """A few steps of ascent on what should go."""
    ids, seed, weights = model
    return ids, seed, weights - 0.01 * X[gone].T @ Y[gone]


def margins(model: Model) -> Floats:
    return np.asarray(2 * Y * (X @ model[2]))


def audited(unlearn: Callable[[Model, list[int]], Model]) -> float:
    return auc(*cross_u_lira(shadow_models(N, MODELS, train, margins, unlearn)))


def test_it_finds_what_was_left_and_nothing_after_retraining() -> None:
    left, retrained, between = audited(nothing), audited(retrain), audited(halfway)
    assert left > 0.85
    assert abs(retrained - 0.5) < 0.08  # about 240 scores a side
    assert retrained + 0.05 < between < left


def test_an_unlearning_that_overshoots_is_seen_as_well() -> None:
    def overshoot(model: Model, gone: list[int]) -> Model:
        ids, seed, weights = model
        return ids, seed, weights - 0.05 * X[gone].T @ Y[gone]

    phi = shadow_models(N, MODELS, train, margins, overshoot)
    one_threshold = auc(phi.phi_KN[phi.unlearned_KN].tolist(), phi.phi_KN[~phi.included_KN].tolist())
    assert one_threshold < 0.3  # they look stranger than strangers: a one-sided test would call it forgotten
    assert audited(overshoot) > 0.75


@pytest.mark.parametrize("left", [0.0, 1.0, 2.5])
def test_the_auc_is_that_of_what_is_left_per_example(left: float) -> None:
    draw, k, n = np.random.default_rng(1), 101, 1200
    included = draw.random((k, n)) < 0.5
    unlearned = included & (draw.random((k, n)) < 0.5)
    phi = draw.normal(0, 5, n) + left * unlearned + 4.0 * (included & ~unlearned) + draw.normal(0, 1, (k, n))
    score = u_lira(phi[0], phi[1:], unlearned[1:], ~included[1:])
    found = auc(score[unlearned[0]].tolist(), score[~included[0]].tolist())
    assert found == pytest.approx(norm.cdf(left / 2**0.5), abs=0.05)
    hidden = auc(phi[0][unlearned[0]].tolist(), phi[0][~included[0]].tolist())
    assert hidden < found - 0.1 or left == 0.0  # one threshold for all overstates the protection


def test_shadows_are_halves_of_halves_and_the_same_again() -> None:
    first, again = (shadow_models(N, 6, train, margins, retrain) for _ in range(2))
    for a, b in ((first.phi_KN, again.phi_KN), (first.included_KN, again.included_KN)):
        assert np.array_equal(a, b)
    assert (first.included_KN.sum(axis=0) == 3).all()  # pairs are opposite
    assert not (first.unlearned_KN & ~first.included_KN).any()
    share = first.unlearned_KN.sum() / first.included_KN.sum()
    assert 0.3 < share < 0.7
    seeds: list[int] = []
    shadow_models(N, 6, lambda ids, seed: seeds.append(seed) or train(ids, seed), margins)
    assert len(set(seeds)) == 6


def test_without_unlearning_there_is_nothing_to_audit() -> None:
    plain = shadow_models(N, 4, train, margins)
    assert isinstance(plain, Shadows)
    with pytest.raises(TooFewSamples, match="give `unlearn`"):
        cross_u_lira(plain)


def test_shadows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="must be even"):
        shadow_models(N, 3, train, margins)
    with pytest.raises(InvalidParameter, match="must give 40 numbers"):
        shadow_models(N, 2, train, lambda model: [0.0])
