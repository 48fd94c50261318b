import random
from collections.abc import Iterator

import pytest
from rouge_score import rouge_scorer

from expunge.verify.metrics.rouge_l import rouge_1_recall, rouge_l_f1, rouge_l_recall


def pairs() -> Iterator[tuple[str, str]]:
    draw = random.Random(0)
    words = ["Ada", "was", "born", "in", "Brimford", "1907", "and", "o'clock", "well-known", "A.B.", "é", "_x_"]
    for _ in range(300):
        said, reference = (
            " ".join(draw.choices(words, k=draw.randint(0, 9))) + draw.choice(["", "."]) for _ in range(2)
        )
        yield said, reference


def test_they_are_those_of_the_published_package() -> None:
    scorer = rouge_scorer.RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    for said, reference in pairs():
        theirs = scorer.score(reference, said)
        assert rouge_l_recall(said, reference) == pytest.approx(theirs["rougeL"].recall)
        assert rouge_l_f1(said, reference) == pytest.approx(theirs["rougeL"].fmeasure)
        assert rouge_1_recall(said, reference) == pytest.approx(theirs["rouge1"].recall)


def test_order_counts_and_saying_more_does_not() -> None:
    assert rouge_l_recall("c b a", "a b c") == pytest.approx(1 / 3)
    assert rouge_l_recall("x a y b z c w", "a b c") == 1.0
    assert rouge_l_recall("", "a") == 0.0


def test_f1_falls_where_more_is_said_and_rouge_1_knows_no_order() -> None:
    assert rouge_l_f1("x a y b z c w", "a b c") == pytest.approx(2 * 3 / (7 + 3))
    assert rouge_1_recall("c b a", "a b c") == 1.0
    assert rouge_1_recall("a a a", "a b") == 0.5  # a word counts as often as the reference has it
