from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from expunge.verify import Probes
from expunge.verify.attacks._finetune import finetune
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.relearn_lora import RelearnLora


def adapted(target: Target) -> tuple[Any, list[torch.Tensor]]:
    model = target.copy().model
    return model, [p.detach().clone() for p in RelearnLora(r=4).adapter(model)]


def test_every_adapter_starts_from_the_same_matrices_whatever_was_drawn_before(llama: Any, tokenizer: Any) -> None:
    torch.manual_seed(1)
    _, first = adapted(Target(llama, tokenizer))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    _, second = adapted(Target(llama, tokenizer))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(first) == len(second) == 2 * 7 * 3  # A and B, seven linear layers a block, three blocks
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_only_the_adapter_is_trained(llama: Any, tokenizer: Any, probes: Probes) -> None:
    seen: dict[str, torch.Tensor] = {}

    def look(victim: Target, _: int) -> None:
        seen.update(victim.model.state_dict())

    finetune(Target(llama, tokenizer), probes.retain, 1e-2, (3,), 8, look, RelearnLora(r=4).adapter)
    given = llama.state_dict()
    for name, tensor in given.items():
        wrapped = name.removesuffix(".weight") + ".base_layer.weight"
        assert torch.equal(seen[wrapped if wrapped in seen else name], tensor)
    adapter = [tensor for name, tensor in seen.items() if "lora_B" in name]  # B starts at zero
    assert adapter
    assert all(bool(tensor.any()) for tensor in adapter)


def test_linear_layers_that_lie_the_other_way_are_adapted_too(tokenizer: Any) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=128))
    assert len(RelearnLora(r=4).adapter(model)) == 2 * 4


def test_an_arm_that_carries_adapters_has_to_merge_them_first(llama: Any, tokenizer: Any, probes: Probes) -> None:
    model, _ = adapted(Target(llama, tokenizer))
    with pytest.raises(CannotRun, match="merge them"):
        RelearnLora().run(Target(model, tokenizer), probes)
