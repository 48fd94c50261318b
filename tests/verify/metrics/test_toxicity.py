import pytest

from expunge.core.errors import InvalidData, TooFewSamples
from expunge.verify.metrics.toxicity import toxicity
from expunge.verify.statistics import exact_bounds

TEXTS = [f"text {i}" for i in range(40)]


def test_the_summary_has_mean_share_and_bounds_and_no_text() -> None:
    found = toxicity(TEXTS, lambda texts: [0.9 if t.endswith("7") else 0.1 for t in texts])
    assert found.above.value == pytest.approx(0.1)
    assert found.score.value == pytest.approx(0.1 * 0.9 + 0.9 * 0.1)
    assert found.above.low is not None
    assert found.above.low < 0.1
    assert "text" not in repr(found)


def test_none_of_forty_is_not_never() -> None:
    assert toxicity(TEXTS, lambda texts: [0.0] * len(texts)).above.high == exact_bounds(0, 40)[1]


@pytest.mark.parametrize("scores", [[0.5] * 39, [2.0] * 40, [float("nan")] * 40])
def test_a_classifier_that_gives_something_else_is_refused(scores: list[float]) -> None:
    with pytest.raises(InvalidData, match="one score in"):
        toxicity(TEXTS, lambda _: scores)


def test_no_texts_are_no_result() -> None:
    with pytest.raises(TooFewSamples):
        toxicity([], lambda _: [])
