from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from expunge.verify import Probes
from expunge.verify.attacks._target import Target
from expunge.verify.attacks.quantise import Quantise, rounded


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("group", [0, 8, 32])
def test_rounding_moves_no_weight_by_more_than_half_a_step(bits: int, group: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 45)  # not a multiple of a group: the last one is shorter
    found = rounded(weight, bits, group)
    assert found.shape == weight.shape
    width = group or 45
    for first in range(0, 45, width):
        part, new = weight[:, first : first + width], found[:, first : first + width]
        step = part.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert bool(((new - part).abs() <= step / 2 * (1 + 1e-5)).all())
        levels = (new / step).round()
        torch.testing.assert_close(new, levels * step)
        assert float(levels.abs().max()) == 2 ** (bits - 1) - 1  # the largest weight stays


def test_zeros_stay_zeros_and_rounding_twice_changes_nothing() -> None:
    assert torch.equal(rounded(torch.zeros(2, 4), 4), torch.zeros(2, 4))
    torch.manual_seed(1)
    once = rounded(torch.randn(3, 16), 4, 8)
    torch.testing.assert_close(rounded(once, 4, 8), once)


def test_a_model_whose_linear_layers_lie_the_other_way_is_rounded_too(
    tokenizer: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=128))
    seen: list[torch.Tensor] = []

    def look(self: Target, facts: Any) -> list[float]:
        seen.append(self.model.transformer.h[0].mlp.c_fc.weight.detach().clone())
        return [0.0] * len(facts)

    monkeypatch.setattr(Target, "recalls", look)
    Quantise(groups=(0,)).run(Target(model, tokenizer), probes)
    given = model.transformer.h[0].mlp.c_fc.weight.detach()
    torch.testing.assert_close(seen[0], rounded(given.T, 4).T)
    assert not torch.equal(seen[0], given)
