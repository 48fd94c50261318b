import math

import pytest
from scipy.stats import hmean

from expunge.core.errors import InvalidParameter
from expunge.verify.metrics.model_utility import model_utility

NINE = [0.99, 0.97, 0.45, 0.55, 0.9, 0.6, 0.5, 0.85, 0.58]


def test_it_is_the_harmonic_mean() -> None:
    assert model_utility(NINE) == pytest.approx(9 / sum(1 / v for v in NINE)) == pytest.approx(hmean(NINE))


def test_one_lost_skill_sinks_it() -> None:
    assert model_utility([*NINE[:8], 1e-4]) < 1e-3
    assert model_utility([*NINE[:8], 0.0]) == 0.0


@pytest.mark.parametrize("values", [[], NINE[:8], [*NINE, 0.5], [*NINE[:8], math.nan], [*NINE[:8], 1.2]])
def test_anything_but_nine_shares_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidParameter, match="of 9 numbers"):
        model_utility(values)
