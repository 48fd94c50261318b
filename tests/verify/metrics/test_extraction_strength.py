import random

import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.extraction_strength import extraction_strength


@pytest.mark.parametrize(
    ("predicted", "strength"),
    [
        ([1, 2, 3, 4], 1.0),  # the question alone
        ([9, 2, 3, 4], 0.75),  # after one token
        ([1, 2, 9, 4], 0.25),
        ([1, 2, 3, 9], 0.0),  # not even the last token follows
        ([9, 9, 9, 9], 0.0),
    ],
)
def test_worked_by_hand(predicted: list[int], strength: float) -> None:
    assert extraction_strength(predicted, [1, 2, 3, 4]) == strength


def test_nothing_that_matches_is_nothing_extracted() -> None:
    # OpenUnlearning's loop `for k in range(n): if preds[k:] == labels[k:]: break` leaves k = n - 1 where nothing matches,
    # so its 1 - k/n is 1/n: 1.0 for every answer of one token.
    for n in (1, 2, 7):
        assert extraction_strength([0] * n, [1] * n) == 0.0
    assert extraction_strength([1], [1]) == 1.0


def test_it_is_the_definition() -> None:
    draw = random.Random(0)
    for _ in range(200):
        n = draw.randrange(1, 9)
        labels, predicted = ([draw.randrange(2) for _ in range(n)] for _ in range(2))
        k = min(k for k in range(n + 1) if predicted[k:] == labels[k:])
        assert extraction_strength(predicted, labels) == (n - k) / n


@pytest.mark.parametrize(("predicted", "labels"), [([], []), ([1], [1, 2])])
def test_a_guess_for_each_token_is_needed(predicted: list[int], labels: list[int]) -> None:
    with pytest.raises(TooFewSamples, match="a guess for each token"):
        extraction_strength(predicted, labels)
