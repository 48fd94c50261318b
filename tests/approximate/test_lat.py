from typing import Any

import pytest
import torch
from tests.approximate.moved import Moved, nll

from expunge.approximate import Edit, Lat, Sam, run_edit
from expunge.approximate._lat import adversary
from expunge.approximate.npo import NPO
from expunge.approximate.refusal import Refusal
from expunge.approximate.rmu import RMU
from expunge.approximate.simnpo import SimNPO
from expunge.core.errors import InvalidParameter
from expunge.engine import Trunk, digest_model


def attacked_nll(moved: Moved, change: torch.Tensor) -> float:
    with torch.no_grad(), Trunk.of(moved.model).edited({0: lambda h: h + change}):
        return float(moved.step.again().forget.nll)


def test_the_adversary_makes_the_forget_set_likely_within_its_ball(trained: Any) -> None:
    moved = Moved(trained, NPO())
    caught: list[torch.Tensor] = []
    with torch.no_grad(), Trunk.of(moved.model).edited({0: lambda h: caught.append(h) or h}):  # type: ignore[func-returns-value]
        _ = moved.step.again().forget.nll
    radius = 0.3 * caught[0][moved.step.forget.mask_BT.bool()].norm(dim=-1).mean()
    padded = 0.3 * caught[0].norm(dim=-1).mean()
    assert abs(padded / radius - 1) > 0.01  # what padding would make of it
    change = adversary(moved.step, moved.model, block=0, epsilon=0.3, n_steps=8)
    length = change.norm(dim=-1)
    assert length.max() <= radius * 1.001
    assert length.max() > 0.999 * radius  # it uses what it is given
    torch.manual_seed(0)
    noise = torch.randn_like(change)
    noise *= length[..., None] / noise.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    before = nll(moved.model, moved.forget)
    assert attacked_nll(moved, change) < 0.7 * before
    assert attacked_nll(moved, noise) > 0.9 * before  # its control: as long, without direction


def test_padding_is_left_as_it_is(trained: Any) -> None:
    moved = Moved(trained, NPO())
    change = adversary(moved.step, moved.model, block=0, epsilon=0.3, n_steps=2)
    for row, one in zip(moved.forget, change, strict=True):
        assert one[: len(row.ids) - 1].norm(dim=-1).min() > 0
        assert not one[len(row.ids) :].any()


def test_the_method_is_taken_under_the_change_and_the_retain_term_is_not(trained: Any) -> None:
    method = NPO(retain_weight=3.0)
    moved, plain = Moved(trained, method), Moved(trained, method)
    value = Lat(method, epsilon=0.2, steps=3).gradient(moved.step, moved.model)
    change = adversary(plain.step, plain.model, 0, 0.2, 3)
    with Trunk.of(plain.model).edited({0: lambda h: h + change}):
        forget = next(method.loss(plain.step))
    retain = 3.0 * plain.step.retain.nll
    assert value == pytest.approx(float((forget + retain).detach()), rel=1e-4)
    (forget + retain).backward()
    for ours, expected in zip(moved.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-3, atol=1e-4)


def test_the_block_below_runs_once_for_all_steps_of_the_adversary(trained: Any) -> None:
    moved = Moved(trained, NPO())
    runs: list[int] = []
    below = moved.model.model.layers[0].self_attn
    tokens = sum(len(row.ids) for row in moved.forget)
    below.register_forward_hook(lambda _m, _a, out: runs.append(out[0].shape[:2].numel()))
    adversary(moved.step, moved.model, block=0, epsilon=0.2, n_steps=5)
    assert [n for n in runs if n >= tokens] == [5 * max(len(row.ids) for row in moved.forget)]


def test_the_same_seed_gives_the_same_weights_and_the_model_given_stays(trained: Any) -> None:
    given, method = (trained.model, trained.tokenizer, trained.forget, trained.retain), Lat(SimNPO(), steps=2)
    before = digest_model(trained.model)
    first, second = (run_edit(*given, method, Edit(steps=2, forget_batch=4, retain_batch=4)) for _ in range(2))
    assert digest_model(first.model) == digest_model(second.model) != before == digest_model(trained.model)
    assert first.guarantee is SimNPO.guarantee


def test_more_of_what_is_forgotten_under_attack_outlasts_an_attack(trained: Any) -> None:
    settings = Edit(steps=24, warmup=2, forget_batch=16, retain_batch=32, guard=None)  # what is kept is not asked here
    npo = NPO(retain_weight=5.0)
    outlasts = {}
    for method in (npo, Lat(npo, epsilon=0.05, steps=3)):
        edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, method, settings)
        moved = Moved(trained, npo)
        moved.model.load_state_dict(edited.model.state_dict())
        attacked = attacked_nll(moved, adversary(moved.step, moved.model, 0, 0.2, 8))
        outlasts[type(method)] = attacked / nll(moved.model, moved.forget)
    assert outlasts[Lat] > 1.2 * outlasts[NPO]


def test_what_cannot_be_attacked_so_is_refused(trained: Any, blobs: Any) -> None:
    given = trained.model, trained.tokenizer, trained.forget, trained.retain
    for method in (RMU(), Refusal()):
        with pytest.raises(InvalidParameter, match="does not look at what is said"):
            run_edit(*given, Lat(method), Edit(steps=1))
    with pytest.raises(InvalidParameter, match="below all that is trained"):
        run_edit(*given, Lat(NPO()), Edit(steps=1, modules="layers.1."))
    with pytest.raises(InvalidParameter, match="between blocks"):
        run_edit(blobs.model, None, blobs.forget, blobs.retain, Lat(NPO()), Edit(steps=1))
    with pytest.raises(InvalidParameter, match="a loss and nothing more"):
        Lat(Sam(NPO()))
    for wrong in ({"epsilon": 0.0}, {"steps": 0}, {"layer": -1.0}):
        with pytest.raises(InvalidParameter):
            Lat(NPO(), **wrong)  # type: ignore[arg-type]
