import random

import pytest
from sklearn.metrics import roc_curve

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.tpr_at_fpr import others_needed, tpr_at_fpr


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_highest_point_of_the_roc_curve_left_of_the_rate(seed: int) -> None:
    draw = random.Random(seed)
    members = [round(draw.gauss(1, 1), 2) for _ in range(draw.randint(1, 200))]  # rounded, so that some are equal
    others = [round(draw.gauss(0, 1), 2) for _ in range(draw.randint(300, 500))]
    fpr, tpr, _ = roc_curve([1] * len(members) + [0] * len(others), members + others, drop_intermediate=False)
    found = tpr_at_fpr(members, others, 0.01)
    assert found.tpr == pytest.approx(max(t for f, t in zip(fpr, tpr, strict=True) if f <= 0.01))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.tpr <= found.high


@pytest.mark.parametrize("rate, needed", [(0.01, 300), (0.001, 3000)])
def test_few_strangers_give_a_reason_and_no_number(rate: float, needed: int) -> None:
    assert others_needed(rate) == needed
    short = tpr_at_fpr([1.0], [0.0] * (needed - 1), rate)
    assert short.tpr is None
    assert f"not measurable, {needed - 1} non-members, {needed} are needed" in str(short)
    assert tpr_at_fpr([1.0], [0.0] * needed, rate).tpr == 1.0


def test_a_tie_with_the_threshold_is_no_hit() -> None:
    assert tpr_at_fpr([0.0] * 10, [0.0] * 300, 0.01).tpr == 0.0


def test_empty_sides_and_impossible_rates_are_refused() -> None:
    with pytest.raises(TooFewSamples):
        tpr_at_fpr([], [0.0], 0.01)
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(InvalidParameter):
            tpr_at_fpr([1.0], [0.0], rate)
