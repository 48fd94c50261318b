import math
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, run_edit
from expunge.approximate.bad_teacher import BadTeacher, _in_place_of, _Taught, divergence, zrf
from expunge.core.errors import InvalidParameter
from expunge.engine import ArrayReferences, array_step_maker, derived_seed, digest_model


def test_the_divergence_is_summed_over_classes() -> None:
    torch.manual_seed(0)
    teacher_NV, student_NV = torch.randn(4, 10), torch.randn(4, 10)
    p_NV, q_NV = torch.softmax(teacher_NV, -1), torch.softmax(student_NV, -1)
    by_hand = sum(float(p * math.log(p / q)) for p, q in zip(p_NV.flatten(), q_NV.flatten(), strict=True)) / 4
    assert float(divergence(teacher_NV, student_NV, 1.0)) == pytest.approx(by_hand, rel=1e-5)


def test_each_side_has_its_own_teacher_and_the_model_gets_its_weights_back(blobs: Any) -> None:
    work, references = blobs.work(), ArrayReferences()
    references.fill(BadTeacher.needs, blobs.model, {"retain": blobs.retain})
    bad, student = work.fresh(5), work.fresh(6)
    before = digest_model(student), digest_model(bad)
    step = array_step_maker(student, references)(work.forget[:9], work.retain[:9])
    x_f, x_r = (torch.stack([row.x for row in side[:9]]) for side in (work.forget, work.retain))
    with torch.no_grad():
        expected = divergence(bad(x_f), student(x_f), 2.0) + divergence(blobs.model(x_r), student(x_r), 2.0)
    value = _Taught(BadTeacher(temperature=2.0), bad).gradient(step, student)
    assert value == pytest.approx(float(expected), rel=1e-5)
    assert (digest_model(student), digest_model(bad)) == before
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in bad.parameters())


def test_buffers_are_swapped_too() -> None:
    one, other = (torch.nn.BatchNorm1d(2) for _ in range(2))
    other.running_mean.fill_(3.0)
    with _in_place_of(one, other):
        assert one.running_mean.tolist() == [3.0, 3.0]
    assert one.running_mean.tolist() == [0.0, 0.0]


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
