from pathlib import Path
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, run_edit
from expunge.approximate._skill import Skill
from expunge.approximate.scrub import SCRUB, distance
from expunge.core.errors import InvalidParameter
from expunge.engine import ArrayReferences, Reference, array_step_maker, digest_model


def kl(p: Any, q: Any) -> Any:
    return (p * (p / q).log()).sum(-1).mean()


def test_the_distance_is_the_divergence_at_its_temperature() -> None:
    torch.manual_seed(0)
    teacher_NV, student_NV = torch.randn(5, 4), torch.randn(5, 4)
    for t in (1.0, 2.0, 4.0):
        expected = t**2 * kl(torch.softmax(teacher_NV / t, -1), torch.softmax(student_NV / t, -1))
        torch.testing.assert_close(distance(teacher_NV, student_NV, t), expected)


def test_steps_that_maximise_and_minimise_alternate_and_touch_one_side_each(blobs: Any) -> None:
    method, references = SCRUB(epochs=5, max_epochs=2, alpha=0.25, gamma=0.5), ArrayReferences()
    references.fill(method.needs, blobs.model, {"forget": blobs.forget, "retain": blobs.retain})
    other = blobs.work().fresh(3)  # a student far from the teacher
    make, signs = array_step_maker(other, references), ""
    for number in range(20):
        step = make(blobs.forget[:8], blobs.retain[:8], (), number, 20)
        (loss,) = method.loss(step)
        away = distance(step.forget.reference_logits_NV, step.forget.logits_NV, 2.0)
        stay = distance(step.retain.reference_logits_NV, step.retain.logits_NV, 2.0)
        if torch.allclose(loss, -away):
            signs += "-"
        else:
            torch.testing.assert_close(loss, 0.5 * step.retain.nll + 0.25 * stay)
            signs += "+"
    assert signs == "--++--++++++++++++++"


def test_the_teacher_is_the_original_throughout(blobs: Any) -> None:
    """At the first step the student is the teacher, so there is nowhere to go: the distance and its slope are zero."""
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, SCRUB(), Edit(steps=4, warmup=0))
    assert edited.losses[0] == pytest.approx(0, abs=1e-6)
    seen = blobs.work()
    assert distance(seen.side(seen.forget).logits_NV, seen.side(seen.forget, edited.model).logits_NV, 2.0) > 0


def test_a_class_is_forgotten_and_the_others_are_kept(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, SCRUB(), Edit(steps=40, lr=3e-2, warmup=0))
    seen = blobs.work()
    assert edited.notes == ()
    assert seen.accuracy(seen.forget, edited.model) < 0.5
    assert seen.accuracy(seen.retain, edited.model) > 0.9


def test_the_rewind_takes_the_epoch_nearest_to_rows_never_seen(blobs: Any) -> None:
    settings = Edit(steps=40, lr=1e-2, warmup=0, guard=None)
    plain = run_edit(blobs.model, None, blobs.forget, blobs.retain, SCRUB(), settings)
    rewound = run_edit(blobs.model, None, blobs.forget, blobs.retain, SCRUB(holdout=tuple(blobs.holdout)), settings)
    seen = blobs.work()
    gap = lambda model: abs(seen.accuracy(seen.forget, model) - seen.accuracy(blobs.holdout, model))
    assert gap(rewound.model) <= gap(plain.model)
    assert rewound.losses == plain.losses  # looking changes nothing
    done = int(rewound.notes[-1].split("step ")[1].split(":")[0])
    assert done % 4 == 0
    assert f"{gap(rewound.model):.1%}" in rewound.notes[-1]


def test_a_rewind_that_was_stopped_ends_at_the_same_bits(blobs: Any, tmp_path: Path) -> None:
    settings = Edit(steps=24, lr=1e-2, warmup=0, every=5)
    method = SCRUB(holdout=tuple(blobs.holdout), epochs=6)

    def stop(done: int, _total: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    arguments = (blobs.model, None, blobs.forget, blobs.retain, method, settings)
    expected = digest_model(run_edit(*arguments).model)
    with pytest.raises(KeyboardInterrupt):
        run_edit(*arguments, folder=tmp_path / "edit", progress=stop)
    assert digest_model(run_edit(*arguments, folder=tmp_path / "edit").model) == expected


def test_a_term_of_nothing_is_left_out(blobs: Any) -> None:
    """Without alpha the retained rows' teacher is not asked; without gamma only it is."""
    assert SCRUB(alpha=0.0).needs == (Reference.FORGET_LOGITS,)
    for method in (SCRUB(alpha=0.0, gamma=2.0), SCRUB(alpha=2.0, gamma=0.0)):
        references = ArrayReferences()
        references.fill(method.needs, blobs.model, {"forget": blobs.forget, "retain": blobs.retain})
        step = array_step_maker(blobs.work().fresh(3), references)(blobs.forget[:8], blobs.retain[:8], (), 19, 20)
        (loss,) = method.loss(step)
        expected = step.retain.nll
        if method.alpha:
            expected = distance(step.retain.reference_logits_NV, step.retain.logits_NV, 2.0)
        torch.testing.assert_close(loss, 2.0 * expected)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"max_epochs": 11}, {"alpha": -1.0}, {"gamma": -1.0}, {"alpha": 0.0, "gamma": 0.0}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        SCRUB(**wrong)


def test_a_guard_does_not_end_it_where_its_own_steps_bring_back_what_they_took_along(blobs: Any) -> None:
    """In the middle of an epoch the retained rows are worse for a while; asked there, a guard would end a good edit."""
    found: list[float] = []
    work = blobs.work(steps=60, lr=3e-2, warmup=0)
    measured = work.skill

    def looked(model: Any = None) -> Skill:
        found.append(measured(model).tokens)
        return measured(model)

    work.skill = looked
    work.descend(SCRUB(epochs=10, max_epochs=3), guarded=True)
    assert len(found) == 1 + 10  # before, and after every epoch of six steps; not after every five steps
    assert min(found) >= 0.8 * found[0]
