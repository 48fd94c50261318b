import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, moved_blobs, nll, total

from expunge.approximate import Edit, run_edit
from expunge.approximate.dpo import DPO, dpo_loss
from expunge.approximate.npo import npo_loss
from expunge.core.errors import InvalidData, InvalidParameter


def test_the_loss_is_the_published_one_on_a_mixed_batch(trained: Any) -> None:
    method = DPO(beta=0.3, retain_weight=2.0)
    others = method.alternate(trained.forget[3:48:9], 0, trained_work(trained))
    moved = Moved(trained, method, others)
    gain = total(moved.model, moved.alternate) - total(moved.original, moved.alternate)
    loss = total(moved.model, moved.forget) - total(moved.original, moved.forget)
    by_hand = [2 / 0.3 * math.log(1 + math.exp(-0.3 * m)) for m in (gain - loss).tolist()]
    expected = sum(by_hand) / 5 + 2.0 * nll(moved.model, moved.retain)
    assert float(sum(method.loss(moved.step)).detach()) == pytest.approx(expected, rel=1e-3)


def test_forget_alternate_and_retain_run_once_each(trained: Any) -> None:
    moved = Moved(trained, DPO(), DPO().alternate(trained.forget[3:48:9], 0, trained_work(trained)))
    for term in DPO().loss(moved.step):
        term.backward()
    assert sorted(moved.runs) == [4, 5, 5]  # the references were computed before


def test_without_a_preferred_answer_it_is_npo() -> None:
    logp_B, was_B = torch.tensor([-3.0, -7.0]), torch.tensor([-1.0, -8.0])
    same_B = torch.tensor([-2.0, -2.0])
    torch.testing.assert_close(dpo_loss(same_B, same_B, logp_B, was_B, 0.5), npo_loss(logp_B, was_B, 0.5))


def test_it_pushes_the_preferred_up_and_the_forgotten_down() -> None:
    preferred_B, forget_B = torch.tensor([-9.0], requires_grad=True), torch.tensor([-1.0], requires_grad=True)
    loss = dpo_loss(preferred_B, preferred_B.detach(), forget_B, forget_B.detach(), beta=0.1)
    up, down = torch.autograd.grad(loss, (preferred_B, forget_B))
    assert up.item() == pytest.approx(-1.0)
    assert down.item() == pytest.approx(1.0)


def test_no_overflow() -> None:
    zero_B = torch.zeros(2)
    assert dpo_loss(zero_B, zero_B, torch.tensor([-9e4, 0.0]), torch.tensor([0.0, -9e4]), beta=10.0).isfinite()


def trained_work(trained: Any) -> Any:
    from expunge.approximate._work import Work

    return Work(trained.model, trained.tokenizer, trained.forget, trained.retain, Edit())


def test_a_refusal_is_preferred_or_what_is_given(trained: Any) -> None:
    work, rows = trained_work(trained), trained.forget[:2]
    assert DPO(refusal="No.").alternate(rows, 0, work) == [replace(r, answer="No.", value="") for r in rows]
    answers = {rows[0].id: "In Rome.", rows[1].id: "On Elm Street."}
    assert [r.answer for r in DPO(answers=answers).alternate(rows, 0, work)] == ["In Rome.", "On Elm Street."]
    with pytest.raises(InvalidData, match="1 of 2 rows have no answer"):
        DPO(answers={rows[0].id: "In Rome."}).alternate(rows, 0, work)


def test_what_is_given_comes_to_be_said(trained: Any) -> None:
    forget = trained.forget[:6]
    method = DPO(answers={r.id: f"{r.subject} never said." for r in forget})
    edited = run_edit(trained.model, trained.tokenizer, forget, trained.retain, method, Edit(steps=25, retain_batch=16))
    work = trained_work(trained)
    said = work.rows([replace(r, answer=f"{r.subject} never said.") for r in forget])
    assert work.accuracy(said, edited.model) > 0.8
    assert work.accuracy(said) < 0.6


def test_a_classifier_prefers_a_wrong_class(blobs: Any) -> None:
    work, method = blobs.work(), DPO(beta=0.5)
    rows = blobs.forget[:7]
    others = method.alternate(rows, 0, work)
    assert [r.id for r in others] == [r.id for r in rows]
    assert all(a.y != b.y for a, b in zip(others, rows, strict=True))
    step, model = moved_blobs(blobs, method, others)
    x = torch.stack([r.x for r in rows])
    now, was = model(x).softmax(-1), blobs.model(x).softmax(-1)
    wrong, right = [r.y for r in others], [r.y for r in rows]
    odds = (now[range(7), wrong] / was[range(7), wrong]) / (now[range(7), right] / was[range(7), right])
    forget, _ = method.loss(step)
    torch.testing.assert_close(forget, (4 * (1 + odds**-0.5).log()).mean(), rtol=1e-4, atol=1e-5)


def test_parameters_out_of_range_are_refused() -> None:
    for wrong in ({"beta": 0.0}, {"refusal": " "}):
        with pytest.raises(InvalidParameter):
            DPO(**wrong)  # type: ignore[arg-type]
