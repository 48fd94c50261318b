import random

import pytest
from sklearn.metrics import roc_auc_score

from expunge.core.errors import TooFewSamples
from expunge.verify.metrics.auc import auc


def test_it_is_scikit_learns_also_with_ties() -> None:
    draw = random.Random(0)
    for _ in range(100):
        members = [draw.choice([draw.random(), 0.5, 0.25]) for _ in range(draw.randint(1, 20))]
        others = [draw.choice([draw.random(), 0.5, 0.25]) for _ in range(draw.randint(1, 20))]
        labels = [1] * len(members) + [0] * len(others)
        assert auc(members, others) == pytest.approx(roc_auc_score(labels, members + others))


def test_one_empty_side_is_no_chance_level() -> None:
    for sides in (([], [1.0]), ([1.0], [])):
        with pytest.raises(TooFewSamples):
            auc(*sides)
