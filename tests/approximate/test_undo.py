import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from expunge.approximate import Edit, run_edit
from expunge.approximate._method import Objective
from expunge.approximate._retain import kl_loss
from expunge.approximate._work import Work
from expunge.approximate.npo import NPO
from expunge.approximate.undo import Repair, Undo, disturb
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Step, digest_model, examples, pinned

SETTINGS = Edit(lr=1e-3, steps=6, warmup=2, forget_batch=8, retain_batch=32, every=2, guard=0.1)


@dataclass(frozen=True)
class FromItself(Objective):
    """Distillation as the test writes it: cross-entropy to the answers kept at the start, less their entropy."""

    needs: ClassVar[tuple[Reference, ...]] = (Reference.RETAIN_LOGITS,)

    def loss(self, step: Step) -> Iterator[Tensor]:
        p_NV = step.retain.reference_logits_NV.softmax(-1)
        cross_N = -(p_NV * step.retain.logits_NV.log_softmax(-1)).sum(-1)
        yield (cross_N + (p_NV * p_NV.log()).sum(-1)).mean()


def edited(given: Any, method: Any, settings: Edit = SETTINGS, **rest: Any) -> Any:
    return run_edit(given.model, given.tokenizer, given.forget, given.retain, method, settings, **rest)


def work_of(given: Any) -> Work:
    return Work(copy.deepcopy(given.model).eval(), given.tokenizer, given.forget, given.retain, SETTINGS)


def test_the_divergence_is_that_of_the_definition() -> None:
    p, q = [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]
    by_hand = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    said = torch.tensor([q, p]).log(), torch.tensor([p, p]).log() + 3.0  # logits are free up to a constant
    assert float(kl_loss(*said)) == pytest.approx(by_hand / 2, rel=1e-6)


def test_without_disturbance_it_is_distilled_from_itself(trained: Any) -> None:
    # The first gradients are rounding alone, and AdamW gives them full length: a small one keeps that apart from the claim.
    found = edited(trained, Undo(inner=NPO(), alpha=0.0, epochs=2, lr=1e-4)).model
    work = work_of(trained)
    with pinned():
        work.descend(NPO(), guarded=True)
        teacher = copy.deepcopy(work.model)
        work.descend(FromItself(), name="student", forget=(), steps=8, lr=1e-4, shape="cosine")
        rows = work.retain
        of = lambda model: work.side(rows, model).logits_NV.detach()
        apart, started = kl_loss(of(found), of(work.model)), kl_loss(of(trained.model), of(teacher))
    assert started > 1e-4  # what the teacher unlearned, for scale
    assert apart < 1e-2 * started


def test_wholly_disturbed_it_begins_as_a_fresh_model(trained: Any) -> None:
    work, seen = work_of(trained), list[str]()
    fresh = work.fresh(3)
    disturb(work.model, fresh, alpha=1.0, beta=1.0, init="fresh", seed=3)
    assert digest_model(work.model) == digest_model(fresh)
    # And in the method: the first loss is that of new weights, about ln V, whatever the start was.
    losses = edited(trained, Undo(inner=NPO(), alpha=1.0, epochs=1), progress=lambda *_: seen.append("")).losses
    fresh_kl = kl_loss(work.side(work.retain, fresh).logits_NV, work.side(work.retain, trained.model).logits_NV)
    assert losses[SETTINGS.steps] == pytest.approx(float(fresh_kl.detach()), rel=0.1)


def test_a_share_is_mixed_in() -> None:
    model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = [0.4 * p + 0.6 * 0.5 * n for p, n in zip(model.parameters(), fresh.parameters(), strict=True)]
    disturb(model, fresh, alpha=0.6, beta=0.5, init="fresh", seed=0)
    for p, e in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p, e)


def test_as_published_vectors_shrink_and_matrices_take_xavier_noise() -> None:
    model = nn.Linear(300, 200)
    before = copy.deepcopy(model)
    disturb(model, before, alpha=0.6, beta=0.1, init="xavier", seed=0)
    torch.testing.assert_close(model.bias, 0.4 * before.bias)
    noise = (model.weight.detach() - 0.4 * before.weight.detach()) / (0.6 * 0.1)
    assert float(noise.std()) == pytest.approx(math.sqrt(2 / 500), rel=0.02)  # 60,000 draws: 0.3 % standard error
    again = copy.deepcopy(before)
    disturb(again, before, alpha=0.6, beta=0.1, init="xavier", seed=0)
    assert torch.equal(again.weight, model.weight)


def test_the_student_is_taught_on_retained_rows_by_the_teacher_not_by_the_original(trained: Any) -> None:
    work, seen = work_of(trained), list[Any]()

    class Watching(Repair):
        def loss(self, step: Step) -> Iterator[Tensor]:
            seen.append((step.forget, step.retain.reference_logits_NV))
            yield from super().loss(step)

    with pinned(), torch.no_grad():
        for p in work.model.parameters():
            p.mul_(1.5)  # a teacher that says other things
        teacher = copy.deepcopy(work.model)
    work.descend(Watching(0.6, 1.0, "fresh", work), name="student", forget=(), retain=work.retain[:8], steps=1)
    ((forget, reference_NV),) = seen
    of = lambda model: sorted(work.side(work.retain[:8], model).logits_NV.detach().logsumexp(-1).tolist())
    assert forget is None
    assert sorted(reference_NV.logsumexp(-1).tolist()) == pytest.approx(of(teacher), rel=1e-4)
    assert of(trained.model) != pytest.approx(of(teacher), rel=1e-2)


@pytest.mark.parametrize("at", [3, 8])
def test_stopped_in_either_stage_it_ends_in_the_same_bits(trained: Any, tmp_path: Path, at: int) -> None:
    calls, method = list[int](), Undo(epochs=2)

    def stop(done: int, _total: int) -> None:
        calls.append(done)
        if len(calls) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edited(trained, method, folder=tmp_path / "e", progress=stop)
    calls.clear()
    again = edited(trained, method, folder=tmp_path / "e", progress=lambda done, _: calls.append(done)).model
    assert digest_model(again) == digest_model(edited(trained, method).model)
    assert len(calls) < 6 + 8


def test_a_classifier_too() -> None:
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), torch.randn(60, 4), torch.arange(60) % 3
    found = run_edit(model, None, examples(x[:10], y[:10]), examples(x[10:], y[10:]), Undo(inner=NPO()), SETTINGS)
    assert all(map(math.isfinite, found.losses))
    assert digest_model(found.model) != digest_model(model)


def test_adapters_and_a_part_of_the_weights_are_refused(trained: Any) -> None:
    with pytest.raises(InvalidParameter, match="undo works on the model's own weights"):
        edited(trained, Undo(), replace(SETTINGS, lora=2))
    with pytest.raises(InvalidParameter, match=r"undo changes every weight.*leave modules out"):
        edited(trained, Undo(), replace(SETTINGS, modules="layers.1."))


@pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"alpha": 1.1}, {"beta": -1.0}, {"epochs": 0}])
def test_refuses_parameters_out_of_range(wrong: Any) -> None:
    with pytest.raises(InvalidParameter):
        Undo(**wrong)
