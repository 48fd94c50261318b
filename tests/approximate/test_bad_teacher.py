import math
from typing import Any

import pytest
import torch
from tests.approximate.moved import alone

from expunge.approximate import Edit, run_edit
from expunge.approximate._work import Work
from expunge.approximate.bad_teacher import BadTeacher, _Taught, divergence, zrf
from expunge.core.errors import InvalidParameter
from expunge.engine import ArrayReferences, array_step_maker, derived_seed


def test_the_divergence_is_summed_over_classes() -> None:
    torch.manual_seed(0)
    teacher_NV, student_NV = torch.randn(4, 10), torch.randn(4, 10)
    p_NV, q_NV = torch.softmax(teacher_NV, -1), torch.softmax(student_NV, -1)
    by_hand = sum(float(p * math.log(p / q)) for p, q in zip(p_NV.flatten(), q_NV.flatten(), strict=True)) / 4
    assert float(divergence(teacher_NV, student_NV, 1.0)) == pytest.approx(by_hand, rel=1e-5)


def test_each_side_has_its_own_teacher(blobs: Any) -> None:
    work, references = blobs.work(), ArrayReferences()
    references.fill(_Taught.needs, blobs.model, {"retain": blobs.retain})
    bad, student = work.fresh(5), work.fresh(6)
    step = array_step_maker(student, references)(work.forget[:9], work.retain[:9])
    x_f, x_r = (torch.stack([row.x for row in side[:9]]) for side in (work.forget, work.retain))
    with torch.no_grad():
        expected = divergence(bad(x_f), student(x_f), 2.0) + divergence(blobs.model(x_r), student(x_r), 2.0)
    ignorant = lambda ids: work.side([row for row in work.forget if row.id in ids], bad).logits_NV.detach()
    terms = list(_Taught(BadTeacher(temperature=2.0), ignorant).loss(step))
    assert float(sum(terms).detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_bad_teacher_knows_nothing_though_only_the_upper_blocks_are_trained(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lower blocks' states are kept then; they are the good model's, and an ignorant one must not read them."""
    seen: list[torch.Tensor] = []

    def watched(teacher_NV: torch.Tensor, student_NV: torch.Tensor, temperature: float) -> torch.Tensor:
        seen.append(teacher_NV)
        return divergence(teacher_NV, student_NV, temperature)

    monkeypatch.setattr("expunge.approximate.bad_teacher.divergence", watched)
    settings = Edit(steps=1, modules=r"layers\.1\.", guard=None, forget_batch=6, retain_batch=6)
    forget = trained.forget[:6]
    run_edit(trained.model, trained.tokenizer, forget, trained.retain, BadTeacher(), settings)
    work = Work(trained.model, trained.tokenizer, forget, trained.retain, settings)
    bad = work.fresh(derived_seed(b"edit/0", "bad teacher"))
    said = lambda model: torch.cat([z for z, _ in alone(model, work.forget)]).logsumexp(-1).sort().values
    torch.testing.assert_close(seen[0].logsumexp(-1).sort().values, said(bad), rtol=1e-4, atol=1e-4)
    assert (said(bad) - said(trained.model)).abs().max() > 1  # its control


def test_adapters_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match="bad teaching works on the model's own weights"):
        run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, BadTeacher(), Edit(lora=2))


def test_the_forget_set_comes_to_look_untrained(blobs: Any) -> None:
    settings = Edit(steps=60, lr=1e-2, warmup=0)
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, BadTeacher(), settings)
    work = blobs.work()
    bad = work.fresh(derived_seed(b"edit/0", "bad teacher"))
    with torch.no_grad():
        said = [work.side(work.forget, model).logits_NV for model in (blobs.model, edited.model, bad)]
    assert zrf(said[0], said[2]) < 0.85 < 0.95 < zrf(said[1], said[2])
    assert work.accuracy(work.retain, edited.model) > 0.9


def test_zrf_runs_from_nothing_in_common_to_the_same() -> None:
    sure, other = torch.tensor([[40.0, -40.0]]), torch.tensor([[-40.0, 40.0]])
    assert zrf(sure, other) == pytest.approx(0, abs=1e-6)
    assert zrf(sure, sure) == pytest.approx(1)
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])
    middle = (p + q) / 2
    bits = 0.5 * sum(float((a * (a / middle).log2()).sum()) for a in (p, q))
    assert zrf(p.log()[None], q.log()[None]) == pytest.approx(1 - bits, rel=1e-5)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"retain_share": 0.0}, {"retain_share": 1.5}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidParameter):
        BadTeacher(**wrong)
