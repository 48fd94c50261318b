"""Logits at some positions and their gradients are those of the whole model, and nothing is skipped where it would show."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from expunge.engine import Trunk, trunk
from expunge.engine.last_mlp import reads_alone

FAMILIES = ("gpt2", "mistral", "mixtral", "gemma2", "phi", "gpt_neox", "bloom", "opt", "mamba")
ROW, AT = torch.tensor([0, 0, 1]), torch.tensor([3, 4, 2])


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_are_the_whole_models(family: str, tiny: Callable[[str], Any], monkeypatch: Any) -> None:
    model = tiny(family).eval()
    some, own = _logits_and_gradients(model)
    with monkeypatch.context() as patch:
        patch.setattr(trunk, "last_mlp_at", lambda *_: nullcontext())
        whole, theirs = _logits_and_gradients(model)
    torch.testing.assert_close(some, whole, rtol=1e-4, atol=1e-5)
    for mine, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["mistral", "gpt2", "mixtral", "gpt_neox"])
def test_these_really_skip(family: str, tiny: Callable[[str], Any]) -> None:
    assert _positions_read(tiny(family).eval()) == 3


@pytest.mark.parametrize("look", ["block", "mlp"])
def test_who_hooks_the_block_sees_all_of_it(look: str, tiny: Callable[[str], Any]) -> None:
    model, seen = tiny("mistral").eval(), list[Tensor]()
    block = Trunk.of(model).blocks[-1]
    where = block if look == "block" else block.get_submodule("mlp")
    handle = where.register_forward_hook(lambda _m, _a, out: seen.append(out))
    said = Trunk.of(model).logits_at(ROW, AT, input_ids=_ids(), use_cache=False)
    handle.remove()
    assert seen[0].shape[:2] == (2, 6)
    assert (seen[0].abs().sum(-1) > 0).all()
    torch.testing.assert_close(said, Trunk.of(model).logits_at(ROW, AT, input_ids=_ids(), use_cache=False))


def test_checkpointed_blocks_run_whole(tiny: Callable[[str], Any]) -> None:
    plain = tiny("mistral").train()
    _, expected = _logits_and_gradients(plain)
    plain.gradient_checkpointing_enable({"use_reentrant": False})
    assert _positions_read(plain) == 12
    _, found = _logits_and_gradients(plain)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


class Mixing(nn.Module):
    def forward(self, states_BTD: Tensor) -> Tensor:
        return states_BTD + states_BTD.mean(dim=1, keepdim=True)


class Tupled(nn.Module):
    def forward(self, states_BTD: Tensor) -> Any:
        return (states_BTD,)


@pytest.mark.parametrize("kind", [Mixing, Tupled])
def test_an_mlp_that_reads_other_positions_or_says_more_runs_whole(kind: type[nn.Module]) -> None:
    assert not reads_alone(kind().forward, torch.zeros(1, 1, 8))


def test_what_draws_at_random_runs_whole_and_leaves_the_draw_as_it_was(tiny: Callable[[str], Any]) -> None:
    model = tiny("gpt2").train()  # has dropout of 0.1
    state = torch.get_rng_state()
    mlp = Trunk.of(model).blocks[-1].get_submodule("mlp")
    assert not reads_alone(mlp.forward, torch.zeros(1, 1, 32))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_mlp_is_given_back_after_an_error(tiny: Callable[[str], Any]) -> None:
    model = tiny("mistral").eval()
    mlp = Trunk.of(model).blocks[-1].get_submodule("mlp")
    with pytest.raises(IndexError):
        Trunk.of(model).logits_at(ROW, AT + 100, input_ids=_ids(), use_cache=False)
    assert "forward" not in mlp.__dict__


def _ids() -> Tensor:
    return torch.arange(3, 15).reshape(2, 6)


def _logits_and_gradients(model: Any) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad(set_to_none=True)
    logits_NV = Trunk.of(model).logits_at(ROW, AT, input_ids=_ids(), use_cache=False)
    logits_NV.float().logsumexp(-1).sum().backward()
    return logits_NV.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def _positions_read(model: Any) -> int:
    """How many positions the first weight inside the last MLP is given."""
    mlp, seen = Trunk.of(model).blocks[-1].get_submodule("mlp"), list[int]()
    inner = next(module for module in mlp.modules() if module is not mlp)
    _logits_and_gradients(model)  # what is tried once is tried here
    handle = inner.register_forward_hook(
        lambda _m, args, _o: seen.append(args[0].reshape(-1, args[0].shape[-1]).shape[0])
    )
    _logits_and_gradients(model)
    handle.remove()
    return seen[0]
