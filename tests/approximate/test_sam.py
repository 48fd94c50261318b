import copy
from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, moved_blobs

from expunge.approximate import Edit, Sam, methods, run_edit
from expunge.approximate.npo import NPO
from expunge.approximate.retrain import Retrain
from expunge.approximate.simnpo import SimNPO
from expunge.core.errors import InvalidParameter
from expunge.testing import contract


def gradients(model: Any, term: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(term, list(model.parameters())))


def test_the_forget_gradient_is_that_of_the_worst_weights_nearby(trained: Any) -> None:
    rho, method = 0.05, NPO(retain_weight=3.0)
    moved = Moved(trained, method)
    before = copy.deepcopy(moved.model.state_dict())
    value = Sam(method, rho=rho).gradient(moved.step, moved.model)
    after = moved.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)  # weights come back to the bit

    plain = Moved(trained, method)
    forget, retain = method.loss(plain.step)
    g, kept = gradients(plain.model, forget), gradients(plain.model, retain)
    length = torch.cat([one.flatten() for one in g]).norm()
    with torch.no_grad():
        for p, one in zip(plain.model.parameters(), g, strict=True):
            p += rho * one / length
    worst = gradients(plain.model, next(method.loss(plain.step.again())))
    for p, at_worst, one in zip(moved.model.parameters(), worst, kept, strict=True):
        torch.testing.assert_close(p.grad, at_worst + one, rtol=1e-3, atol=1e-4)
    assert value == pytest.approx(float(forget.detach() + retain.detach()), rel=1e-5)
    usual = torch.cat([(a + b).flatten() for a, b in zip(g, kept, strict=True)])
    ours = torch.cat([p.grad.flatten() for p in moved.model.parameters()])
    assert not torch.allclose(usual, ours, rtol=0.01, atol=1e-3)


def test_the_forget_side_runs_twice_and_the_retain_side_once(trained: Any) -> None:
    moved = Moved(trained, NPO())
    Sam(NPO()).gradient(moved.step, moved.model)
    assert sorted(moved.runs) == [4, 5, 5]


def test_it_becomes_the_method_alone_as_rho_vanishes(blobs: Any) -> None:
    step, model = moved_blobs(blobs, SimNPO())
    Sam(SimNPO(), rho=1e-9).gradient(step, model)
    found = [p.grad.clone() for p in model.parameters()]
    expected = gradients(model, sum(SimNPO().loss(step.again())))
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


def test_it_keeps_the_contract_and_claims_what_its_method_claims() -> None:
    contract.makes_the_forget_set_less_likely(Sam(SimNPO()))
    contract.names_its_guarantee(Sam(SimNPO()))
    assert Sam(NPO()).needs == NPO().needs
    assert Sam(NPO()) == Sam(NPO()) != Sam(NPO(beta=0.2))
    assert copy.deepcopy(Sam(NPO())) == Sam(NPO())


def test_it_is_no_method_of_its_own() -> None:
    assert not {"sam", "lat"} & set(methods.names())


def test_classifiers_too(blobs: Any) -> None:
    edited = run_edit(blobs.model, None, blobs.forget, blobs.retain, Sam(NPO(beta=1.0)), Edit(steps=60, lr=1e-2))
    assert blobs.work().accuracy(list(blobs.forget), edited.model) < 0.2
    assert blobs.work().accuracy(list(blobs.retain), edited.model) > 0.9


def test_what_is_more_than_a_loss_is_refused() -> None:
    for method in (Retrain(), Sam(NPO())):
        with pytest.raises(InvalidParameter, match="a loss and nothing more"):
            Sam(method)
    with pytest.raises(InvalidParameter, match="rho"):
        Sam(NPO(), rho=0.0)
