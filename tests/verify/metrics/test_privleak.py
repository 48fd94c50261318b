import pytest

from expunge.core.errors import InvalidParameter, TooFewSamples
from expunge.verify.metrics.privleak import privleak

# AUCs of holdout against forget (Min-40 %) that MUSE publishes with its News corpus; its PrivLeak is computed from 1 - these.
RETRAINED, UNTOUCHED, ASCENT = 0.5228, 0.9991, 0.49805


def test_it_is_the_published_figure_of_muse_news() -> None:
    def muse(auc: float, retrained: float) -> float:
        return (auc - retrained) / retrained * 100

    assert privleak(UNTOUCHED, RETRAINED) == pytest.approx(muse(0.0009, 0.4772)) == pytest.approx(-99.8, abs=0.05)
    assert privleak(ASCENT, RETRAINED) == pytest.approx(muse(0.50195, 0.4772)) == pytest.approx(5.2, abs=0.05)


def test_the_sign_says_which_way_membership_is_visible() -> None:
    assert privleak(0.5, 0.5) == 0.0
    assert privleak(0.9, 0.5) < 0  # members still look familiar
    assert privleak(0.1, 0.5) > 0  # pushed below strangers
    assert privleak(1.0, 0.5) == -100.0


def test_without_a_retrained_model_there_is_no_value() -> None:
    with pytest.raises(TooFewSamples, match="needs a retrained model's AUC"):
        privleak(0.7, None)


@pytest.mark.parametrize("unlearned, retrained", [(float("nan"), 0.5), (0.5, float("nan")), (1.2, 0.5), (0.5, 1.0)])
def test_no_number_is_made_of_what_is_none(unlearned: float, retrained: float) -> None:
    with pytest.raises(InvalidParameter):
        privleak(unlearned, retrained)
