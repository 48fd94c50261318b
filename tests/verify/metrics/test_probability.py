import math

import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.probability import probability, share_of_options


def test_length_does_not_count() -> None:
    assert probability([math.log(0.5)]) == pytest.approx(probability([math.log(0.5)] * 30)) == pytest.approx(0.5)


def test_by_hand() -> None:
    assert probability([math.log(0.9), math.log(0.4), math.log(0.1)]) == pytest.approx((0.9 * 0.4 * 0.1) ** (1 / 3))


def test_what_is_not_a_number_stays_so_and_what_cannot_be_said_is_zero() -> None:
    assert math.isnan(probability([-1.0, math.nan]))
    assert probability([-1.0, -math.inf]) == 0.0


def test_no_tokens_have_no_probability() -> None:
    with pytest.raises(TooFewSamples):
        probability([])


def test_options_that_are_alike_share_alike() -> None:
    assert share_of_options(1e-6, [1e-6] * 3) == pytest.approx(0.25)
    assert math.isnan(share_of_options(0.0, [0.0]))
