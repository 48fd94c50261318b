import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate import Edit, run_edit
from expunge.approximate._work import Work
from expunge.approximate.ssd import SSD
from expunge.core.errors import InvalidParameter
from expunge.engine import examples


def linear_work() -> Work:
    """Two classes, weights [[2, 0], [0, 3]], no bias; forget one row along the first axis, retain three."""
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    forget = examples(torch.tensor([[1.0, 0.0]]), [0])
    retain = examples(torch.tensor([[0.1, 1.0], [0.0, 2.0], [-0.1, 1.5]]), [1, 0, 1])
    return Work(model, None, forget, retain, Edit(guard=None))


def square_gradient(x: Any, y: int, weight: Any) -> Any:
    """d CE / d W = (softmax(W x) - onehot(y)) x^T."""
    error = torch.softmax(weight @ x, 0) - torch.eye(2)[y]
    return torch.outer(error, x) ** 2


def test_a_linear_model_is_dampened_as_by_hand() -> None:
    work = linear_work()
    weight = work.model.weight.detach().clone()
    forget = square_gradient(work.forget[0].x, 0, weight)
    others = sum(square_gradient(row.x, row.y, weight) for row in work.retain) / 3
    expected = weight.clone()
    for i in range(2):
        for j in range(2):
            if forget[i, j] > 2 * others[i, j]:
                expected[i, j] *= min(float(0.5 * others[i, j] / forget[i, j]), 1.0)
    SSD(alpha=2.0, scale=0.5).edit(work)
    torch.testing.assert_close(work.model.weight.detach(), expected)
    assert expected[0, 0] < 0.5  # the forget row's axis was dampened
    assert expected[1, 1] == 3.0


def test_batches_would_have_given_another_answer() -> None:
    """Two forget rows whose gradients cancel have no importance as a batch."""
    work = linear_work()
    work.forget = examples(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), [0, 1])
    before = work.model.weight.detach().clone()
    SSD(alpha=1.5).edit(work)
    assert not torch.equal(work.model.weight.detach(), before)


def test_without_labels_the_labels_do_not_matter() -> None:
    ends = []
    for flip in (False, True):
        work = linear_work()
        if flip:
            work.forget = [replace(row, y=1 - row.y) for row in work.forget]
        SSD(alpha=2.0, label_free=True).edit(work)
        ends.append(work.model.weight.detach().clone())
    torch.testing.assert_close(*ends)
    assert ends[0][0, 0] < 2.0


def test_a_class_is_forgotten(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, SSD(alpha=1.5, scale=0.1))
    seen = blobs.work()
    losses = [seen.side(seen.forget, model).nll.item() for model in (blobs.model, edited.model)]
    assert edited.losses == pytest.approx(losses)
    assert seen.accuracy(seen.forget) > 0.95
    assert seen.accuracy(seen.forget, edited.model) < 0.6
    assert seen.accuracy(seen.retain, edited.model) > 0.9


def test_the_bar_can_be_reached_however_large_the_forget_set_is(blobs: Any) -> None:
    """Against all rows together a third of them could never be three times as important as the whole."""
    work = blobs.work(guard=None)
    SSD(alpha=3.5).edit(work)
    assert not work.notes[-1].startswith("0 of")


def test_what_would_wreck_the_model_ends_with_figures(blobs: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"of retained answers right.*raise alpha"):
        run_edit(blobs.model, None, blobs.retain, blobs.forget, SSD(alpha=1e-3, scale=1e-3))
    run_edit(blobs.model, None, blobs.retain, blobs.forget, SSD(alpha=1e-3, scale=1e-3), Edit(guard=None))


def test_only_the_named_weights_change(blobs: Any) -> None:
    work = blobs.work(modules=r"^2\.", guard=None)
    before = copy.deepcopy(work.model)
    SSD(alpha=1.5).edit(work)
    assert torch.equal(before[0].weight, work.model[0].weight)
    assert not torch.equal(before[2].weight, work.model[2].weight)


def test_modules_that_name_nothing_are_refused(blobs: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"modules='layers'; they are such as '0.weight'"):
        run_edit(blobs.model, None, blobs.forget, blobs.retain, SSD(), Edit(modules="layers"))


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"scale": -1.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidParameter):
        SSD(**wrong)
