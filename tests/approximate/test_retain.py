import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.approximate.moved import PAD, Moved, alone, moved_blobs, nll

from expunge.approximate import Edit, methods, run_edit
from expunge.approximate._retain import hidden_loss, kl_loss, retain_loss, retain_needs
from expunge.approximate.grad_diff import GradDiff
from expunge.core.errors import InvalidParameter
from expunge.engine import Reference, Trunk, collate

WITH_RETAIN = ("grad_diff", "npo", "simnpo", "dpo", "undial", "wga", "satimp", "relabel")


def test_kl_counts_answer_tokens_alone(trained: Any) -> None:
    moved = Moved(trained, GradDiff(retain="kl"))
    divergences = []
    for (was, _), (now, _) in zip(alone(moved.original, moved.retain), alone(moved.model, moved.retain), strict=True):
        p, q = was.double().softmax(-1), now.double().softmax(-1)
        divergences += [float((p_V * (p_V / q_V).log()).sum()) for p_V, q_V in zip(p, q, strict=True)]
    by_hand = sum(divergences) / sum(len(row.ids) - row.n_prompt for row in moved.retain)
    assert float(retain_loss(moved.step, "kl").detach()) == pytest.approx(by_hand, rel=1e-3)
    assert by_hand > 0.01


def test_kl_runs_the_model_once_and_no_second_one(trained: Any) -> None:
    moved = Moved(trained, GradDiff(retain="kl"))
    retain_loss(moved.step, "kl").backward()
    assert moved.runs == [4]


def test_kl_is_that_of_the_original_from_the_moved() -> None:
    was, now = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.0, 0.0]])
    assert float(kl_loss(now, was)) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert float(kl_loss(now, was)) != pytest.approx(float(kl_loss(was, now)), rel=0.01)


def test_hidden_is_the_distance_after_the_last_block(trained: Any) -> None:
    moved = Moved(trained, GradDiff(retain="hidden"))
    states = {"was": moved.original, "now": moved.model}
    with torch.no_grad():
        was, now = (
            torch.cat([Trunk.of(model).states(collate([row], PAD), 1)[0, row.n_prompt :] for row in moved.retain])
            for model in states.values()
        )
    by_hand = ((now - was) ** 2).sum() / (was**2).sum()
    torch.testing.assert_close(retain_loss(moved.step, "hidden").detach(), by_hand, rtol=1e-3, atol=1e-6)


def test_hidden_does_not_depend_on_the_scale_of_the_states() -> None:
    torch.manual_seed(0)
    now, was = torch.randn(6, 8), torch.randn(6, 8)
    torch.testing.assert_close(hidden_loss(now, was), hidden_loss(100 * now, 100 * was))


def test_nll_is_the_mean_over_all_answer_tokens(trained: Any) -> None:
    moved = Moved(trained, GradDiff())
    assert float(retain_loss(moved.step, "nll").detach()) == pytest.approx(nll(moved.model, moved.retain), rel=1e-4)


@pytest.mark.parametrize("kind", ["nll", "kl"])
def test_classifiers_have_the_same_terms(blobs: Any, kind: Any) -> None:
    step, model = moved_blobs(blobs, GradDiff(retain=kind))
    x, y = torch.stack([r.x for r in blobs.retain[:9]]), torch.tensor([r.y for r in blobs.retain[:9]])
    was, now = blobs.model(x).softmax(-1), model(x).softmax(-1)
    by_hand = {"nll": -now[range(9), y].log().mean(), "kl": (was * (was / now).log()).sum() / 9}[kind]
    torch.testing.assert_close(retain_loss(step, kind), by_hand, rtol=1e-4, atol=1e-6)


def test_a_classifier_has_no_hidden_term(blobs: Any) -> None:
    with pytest.raises(InvalidParameter, match="classifier"):
        run_edit(blobs.model, None, blobs.forget, blobs.retain, GradDiff(retain="hidden"), Edit(steps=1))


def test_what_is_not_used_is_not_prepared() -> None:
    assert retain_needs("nll") == ()
    assert retain_needs("kl") == (Reference.RETAIN_LOGITS,)
    assert retain_needs("kl", weight=0.0) == ()


@pytest.mark.parametrize("name", WITH_RETAIN)
def test_every_method_takes_every_term_and_keeps_its_default(trained: Any, name: str) -> None:
    method = methods.get(name)()
    assert method.retain == "nll"
    refusals = [replace(r, answer="No.") for r in trained.forget[3:48:9]]
    by_kind = {}
    for kind in ("nll", "kl", "hidden"):
        moved = Moved(trained, replace(method, retain=kind, retain_weight=2.0), refusals)
        terms = list(replace(method, retain=kind, retain_weight=2.0).loss(moved.step))
        assert len(terms) == 2
        torch.testing.assert_close(terms[1], 2.0 * retain_loss(moved.step, kind))
        by_kind[kind] = round(float(terms[1].detach()), 5)
    assert len(set(by_kind.values())) == 3


@pytest.mark.parametrize("name", [n for n in WITH_RETAIN if n != "grad_diff"])
def test_a_weight_of_nothing_computes_nothing_of_the_retain_side(trained: Any, name: str) -> None:
    method = methods.get(name)(retain_weight=0.0, retain="kl")
    assert not any(need.side == "retain" for need in method.needs)
    moved = Moved(trained, method, [replace(r, answer="No.") for r in trained.forget[3:48:9]])
    for term in method.loss(moved.step):
        term.backward()
    assert moved.runs in ([5], [5, 5])  # forget rows, and alternates where there are some


@pytest.mark.parametrize("wrong", [{"retain": "l2"}, {"retain_weight": -1.0}], ids=str)
def test_unknown_terms_and_negative_weights_are_refused(wrong: dict[str, Any]) -> None:
    for name in WITH_RETAIN:
        with pytest.raises(InvalidParameter, match="retain"):
            methods.get(name)(**wrong)
