"""A comparison of two states that could not fail would prove nothing."""

import numpy as np
import pytest

from expunge.exact._learner.equality import TOLERANCE, difference


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_hides_no_difference(odd: float) -> None:
    one = {"w": np.array([odd, 1.0])}
    assert difference(one, {"w": np.array([odd, 1.0])}) == 0
    assert difference(one, {"w": np.array([odd, 2.0])}) > TOLERANCE
    assert difference(one, {"w": np.array([-odd, 1.0])}) == (0 if np.isnan(odd) else np.inf)
    assert difference(one, {"w": np.array([0.0, 1.0])}) == np.inf
