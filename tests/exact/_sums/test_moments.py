from fractions import Fraction

import numpy as np
import pytest

from expunge.core.errors import InvalidData
from expunge.exact._sums.moments import Moments, check_size


def wild(seed: int, n: int = 300) -> np.ndarray:
    """Columns of usual numbers, with an offset, tiny, huge, of all sizes, subnormal, and with zeros of both signs."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, 7))
    sizes = np.exp2(rng.integers(-1000, 490, n))
    X = normal * np.array([1, 1, 1e-300, 1e140, 1, 1e-310, 1])
    X[:, 1] += 1e9
    X[:, 4] *= sizes
    X[:, 6] = np.where(rng.random(n) < 0.5, 0.0, -0.0)
    return X


def rational(column: np.ndarray) -> tuple[Fraction, Fraction]:
    """Mean and variance without any rounding."""
    values = [Fraction(v) for v in column.tolist()]
    mean = sum(values) / len(values)
    return mean, sum((v - mean) ** 2 for v in values) / len(values)


def test_mean_and_variance_are_those_of_rational_numbers_rounded_once() -> None:
    X = wild(0)
    moments = Moments.of(X)
    for j in range(X.shape[1]):
        mean, variance = rational(X[:, j])
        assert moments.mean[j] == float(mean)
        assert moments.variance[j] == float(variance)


def test_what_was_subtracted_in_any_order_leaves_no_difference() -> None:
    X = wild(1)
    order = np.random.default_rng(0).permutation(len(X))
    moments = Moments.of(X)
    for i in order[:200]:
        moments = moments - Moments.of(X[i : i + 1])
    rest = Moments.of(X[np.sort(order[200:])])
    assert moments == rest
    assert moments.packed() == rest.packed()
    assert moments != Moments.of(X[np.sort(order[201:])]), "the control: one record more is another sum"


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    X = wild(2)
    whole = Moments.of(X)
    monkeypatch.setattr("expunge.exact._sums.moments._CHUNK", 7)
    assert Moments.of(X) == whole


def test_text_gives_the_same_moments_back() -> None:
    moments = Moments.of(wild(3))
    assert Moments.unpacked(moments.n, moments.packed()) == moments


def test_a_value_whose_square_is_no_float_is_refused() -> None:
    check_size(np.array([[1e150, -1e150]]))
    for value in (1e151, -1e151):
        with pytest.raises(InvalidData, match="Rescale"):
            check_size(np.array([[1.0, value]]))
