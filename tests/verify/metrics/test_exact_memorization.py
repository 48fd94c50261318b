import pytest
from sklearn.metrics import accuracy_score

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.exact_memorization import exact_memorization
from expunge.verify.metrics.extraction_strength import extraction_strength


def test_worked_by_hand() -> None:
    assert exact_memorization([1, 9, 3, 9], [1, 2, 3, 4]) == 0.5
    assert exact_memorization([9], [1]) == 0.0
    assert exact_memorization([7, 7, 3], [1, 2, 3]) == accuracy_score([1, 2, 3], [7, 7, 3])


def test_it_is_never_below_extraction_strength() -> None:
    for code in range(3**6):
        predicted = [code // 3**i % 3 for i in range(6)]
        labels = [0, 1, 2, 0, 1, 2]
        assert exact_memorization(predicted, labels) >= extraction_strength(predicted, labels)


@pytest.mark.parametrize(("predicted", "labels"), [([], []), ([1], [1, 2])])
def test_a_guess_for_each_token_is_needed(predicted: list[int], labels: list[int]) -> None:
    with pytest.raises(TooFewSamples, match="a guess for each token"):
        exact_memorization(predicted, labels)
