import random

import pytest

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.verbatim import exact_memorisation, extraction_strength


def test_it_is_the_smallest_prefix_after_which_all_is_right() -> None:
    """The definition, read out loud, over random guesses."""
    draw = random.Random(0)
    for _ in range(300):
        n = draw.randint(1, 8)
        labels, guessed = ([draw.randint(0, 1) for _ in range(n)] for _ in range(2))
        k = next(k for k in range(n + 1) if guessed[k:] == labels[k:])
        assert extraction_strength(guessed, labels) == pytest.approx(1 - k / n)


def test_an_answer_of_which_nothing_matches_scores_nothing() -> None:
    for n in (1, 2, 10):
        assert extraction_strength([0] * n, [1] * n) == 0.0


def test_exact_memorisation_is_the_share_of_right_guesses() -> None:
    assert exact_memorisation([1, 2, 0, 4], [1, 2, 3, 4]) == 0.75


@pytest.mark.parametrize("sides", [([], []), ([1], [1, 2])])
def test_it_refuses_what_has_no_length(sides: tuple[list[int], list[int]]) -> None:
    for metric in (extraction_strength, exact_memorisation):
        with pytest.raises(TooFewSamples):
            metric(*sides)
