import math

import pytest
import torch

from expunge.verify.metrics.min_k_plus_plus import lowest_share, token_scores


def test_it_is_the_published_formula_token_by_token() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 11, dtype=torch.float64) * 3, torch.randint(0, 11, (7,))
    found = token_scores(logits, labels).tolist()
    for row, label, score in zip(logits.tolist(), labels.tolist(), found, strict=True):
        total = sum(math.exp(z) for z in row)
        p = [math.exp(z) / total for z in row]
        mean = sum(q * math.log(q) for q in p)
        variance = sum(q * (math.log(q) - mean) ** 2 for q in p)
        assert score == pytest.approx((math.log(p[label]) - mean) / math.sqrt(variance), rel=1e-9)


def test_a_certain_model_does_not_divide_by_zero() -> None:
    logits = torch.zeros(1, 5)
    logits[0, 2] = 500.0
    assert bool(token_scores(logits, torch.tensor([2])).isfinite().all())


def test_a_mask_on_other_tokens_changes_nothing_but_the_vocabulary() -> None:
    """What an unlearner hides by setting logits to minus infinity leaves no NaN behind that would spare it the test."""
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 6), torch.tensor([0, 1, 2])
    masked = torch.cat([logits, torch.full((3, 2), -math.inf)], dim=1)
    torch.testing.assert_close(token_scores(masked, labels), token_scores(logits, labels))
    assert token_scores(masked, torch.tensor([0, 6, 2])).tolist()[1] == -math.inf


def test_the_lowest_share_is_a_mean_of_at_least_one() -> None:
    scores = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    assert lowest_share(scores, 0.4) == 1.5
    assert lowest_share(scores, 0.01) == 1.0
    assert lowest_share(scores, 1.0) == 3.0
