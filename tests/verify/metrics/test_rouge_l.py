import random

import pytest
from rouge_score import rouge_scorer

from expunge.verify.metrics.rouge_l import rouge_l_recall


def test_it_is_the_recall_of_the_published_package() -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    draw = random.Random(0)
    words = ["Ada", "was", "born", "in", "Brimford", "1907", "and", "o'clock", "well-known", "A.B.", "é", "_x_"]
    for _ in range(300):
        said, reference = (
            " ".join(draw.choices(words, k=draw.randint(0, 9))) + draw.choice(["", "."]) for _ in range(2)
        )
        assert rouge_l_recall(said, reference) == pytest.approx(scorer.score(reference, said)["rougeL"].recall)


def test_order_counts_and_saying_more_does_not() -> None:
    assert rouge_l_recall("c b a", "a b c") == pytest.approx(1 / 3)
    assert rouge_l_recall("x a y b z c w", "a b c") == 1.0
    assert rouge_l_recall("", "a") == 0.0
