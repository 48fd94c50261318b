import copy
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit, run_edit
from expunge.approximate._work import Work
from expunge.approximate.fisher import Fisher, _head, fisher_information
from expunge.core.errors import InvalidParameter
from expunge.engine import examples


def test_the_information_of_a_logistic_model_is_its_closed_form() -> None:
    """E_x sum_y p_y (onehot_y - p)_k^2 x_j^2 = E_x p_k (1 - p_k) x_j^2: for softmax regression, and no labels in it."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    x = torch.randn(20, 4)
    found = []
    for shift in range(2):
        rows = examples(x, (torch.arange(20) + shift) % 3)
        found.append(fisher_information(Work(model, None, rows[:1], rows[1:], Edit()), rows, 3))
    p_NV = torch.softmax(model(x), -1).detach()
    spread_NV = p_NV * (1 - p_NV)
    torch.testing.assert_close(found[0]["weight"], (spread_NV[:, :, None] * x[:, None, :] ** 2).mean(0))
    torch.testing.assert_close(found[0]["bias"], spread_NV.mean(0))
    torch.testing.assert_close(found[0]["weight"], found[1]["weight"])


def test_the_variance_is_bounded_shared_over_inputs_and_larger_in_the_head() -> None:
    method = Fisher(cap=100.0, head_cap=10.0, boost=5.0)
    information = torch.tensor([[1.0, 0.5], [0.0, 0.05]])
    body = torch.tensor([[1.5, 1.5], [60.0, 60.0]])  # means of (1, 2) and (100, 20)
    head = 5 * torch.tensor([[1.5, 1.5], [10.0, 10.0]])
    torch.testing.assert_close(method.variance(information, False), body)
    torch.testing.assert_close(method.variance(information, True), head)
    torch.testing.assert_close(method.variance(torch.tensor([0.5]), False), torch.tensor([10.0]))


def test_the_noise_has_the_variance_that_was_asked_for() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 3))
    before = copy.deepcopy(model)
    rows = examples(torch.randn(30, 50), torch.arange(30) % 3)
    work = Work(model, None, rows[:6], rows[6:], Edit())
    method = Fisher(alpha=1e-8, keep=0.01)
    expected = method.variance(fisher_information(work, work.retain, 3)["0.weight"], False)[:, 0] * 1e-8
    method.edit(work)
    moved = (model[0].weight - before[0].weight).detach()
    standard = moved / expected.sqrt()[:, None]  # 2,000 standard normal numbers
    assert abs(float(standard.mean())) < 0.09  # four standard errors
    assert abs(float(standard.var()) - 1) < 0.13
    assert "strength 1e-08" in work.notes[-1]


def test_the_row_of_a_class_that_left_is_drawn_anew(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, Fisher(alpha=1e-12))
    seen, change = blobs.work(), edited.model[2].weight - blobs.model[2].weight
    assert change[:2].abs().max() < 1e-3
    assert edited.model[2].weight[2].abs().max() < 0.2  # standard deviation 0.03
    assert seen.accuracy(seen.forget, edited.model) < 0.9 < seen.accuracy(seen.retain, edited.model)


def test_the_strength_found_keeps_what_was_asked(blobs: Any) -> None:
    work = blobs.work()
    start = work.accuracy(work.retain)
    Fisher(keep=0.9).edit(work)
    assert work.accuracy(work.retain) >= 0.9 * start
    assert "chosen: the largest that leaves 90%" in work.notes[-1]


def test_a_strength_that_wrecks_the_model_is_refused_and_nothing_moves(blobs: Any) -> None:
    work = blobs.work()
    with pytest.raises(InvalidParameter, match="even strength 10000"):
        Fisher(alpha=1e4, keep=0.99).edit(work)
    for p, q in zip(work.model.parameters(), blobs.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_head_is_the_last_layer_with_a_row_for_every_class() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    assert _head(model, 3) == {"1.weight", "1.bias"}
    assert _head(nn.Linear(3, 2), 5) == frozenset()
