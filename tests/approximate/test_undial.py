from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, alone, moved_blobs

from expunge.approximate import Edit, run_edit
from expunge.approximate.undial import Undial, undial_loss
from expunge.core.errors import InvalidParameter


def by_hand(moved: Moved, beta: float) -> torch.Tensor:
    losses = []
    for (was, y), (now, _) in zip(alone(moved.original, moved.forget), alone(moved.model, moved.forget), strict=True):
        for t in range(len(y)):
            target = was[t].double().clone()
            target[y[t]] -= beta
            losses.append(-(target.softmax(-1) * now[t].double().log_softmax(-1)).sum())
    return torch.stack(losses).mean()


def test_the_loss_is_the_published_one_over_answer_tokens_alone(trained: Any) -> None:
    moved = Moved(trained, Undial())
    forget, _ = Undial(beta=3.0).loss(moved.step)
    assert float(forget.detach()) == pytest.approx(float(by_hand(moved, 3.0)), rel=1e-4)


def test_labels_of_prompts_and_padding_do_not_reach_the_vocabulary(trained: Any) -> None:
    moved = Moved(trained, Undial())
    assert int(moved.step.forget.labels_N.min()) >= 0
    assert len(moved.step.forget.labels_N) == sum(len(row.ids) - row.n_prompt for row in moved.forget)
    # The fault: -100 taken as an index lowers word V - 100, and the mean runs over prompts and padding too.
    width = max(len(row.ids) for row in moved.forget)
    diluted = float(by_hand(moved, 10.0)) * len(moved.step.forget.labels_N) / (5 * (width - 1))
    forget, _ = Undial().loss(moved.step)
    assert abs(float(forget.detach()) - diluted) > 1.0


def test_only_the_right_word_is_lowered() -> None:
    torch.manual_seed(0)
    was_NV, labels_N = torch.randn(3, 150), torch.tensor([5, 5, 149])
    now_NV = was_NV.clone().requires_grad_(True)
    kept = was_NV.clone()
    (grad_NV,) = torch.autograd.grad(undial_loss(now_NV, was_NV, labels_N, beta=10.0), now_NV)
    assert torch.equal(was_NV, kept)  # the cached logits are not changed
    down = (grad_NV > 1e-9).nonzero().tolist()
    assert down == [[0, 5], [1, 5], [2, 149]]


def test_it_ends_where_the_target_is_met() -> None:
    was_NV, labels_N = torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0])
    reached_NV = torch.tensor([[-7.0, 1.0, 0.0]], requires_grad=True)
    (grad_NV,) = torch.autograd.grad(undial_loss(reached_NV, was_NV, labels_N, beta=10.0), reached_NV)
    torch.testing.assert_close(grad_NV, torch.zeros(1, 3), atol=1e-7, rtol=0)


def test_the_teacher_is_kept_and_never_runs_again(trained: Any) -> None:
    method = Undial(retain_weight=0.0)
    moved = Moved(trained, method)
    for term in method.loss(moved.step):
        term.backward()
    assert moved.runs == [5]  # no teacher, and no retain side that counts nothing


def test_a_classifier_forgets_its_class(blobs: Any) -> None:
    step, model = moved_blobs(blobs, Undial())
    rows = blobs.forget[:7]
    x, y = torch.stack([r.x for r in rows]), torch.tensor([r.y for r in rows])
    target = blobs.model(x) - 4.0 * torch.nn.functional.one_hot(y, 3)
    expected = -(target.softmax(-1) * model(x).log_softmax(-1)).sum(-1).mean()
    forget, _ = Undial(beta=4.0).loss(step)
    torch.testing.assert_close(forget, expected, rtol=1e-4, atol=1e-5)
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, Undial(), Edit(steps=60, lr=1e-2))
    assert blobs.work().accuracy(list(blobs.forget), edited.model) < 0.2
    assert blobs.work().accuracy(list(blobs.retain), edited.model) > 0.9


def test_beta_must_be_positive() -> None:
    with pytest.raises(InvalidParameter):
        Undial(beta=0.0)
