import copy
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from expunge.approximate import Edit, methods, run_edit
from expunge.verify import Probes
from expunge.verify.attacks._target import Target
from expunge.verify.attacks.quantise import ROUNDING, Quantise, nf4, nf4_values, rounded

# QLoRA (arXiv:2305.14314), App. E.
PUBLISHED_NF4 = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]


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
    for rounding in ROUNDING.values():
        assert torch.equal(rounding(torch.zeros(2, 4)), torch.zeros(2, 4))
        once = rounding(torch.randn(3, 40, generator=torch.Generator().manual_seed(1)))
        torch.testing.assert_close(rounding(once), once)


def test_the_values_of_nf4_are_the_published_ones() -> None:
    # The published list was computed in float32.
    assert nf4_values() == pytest.approx(PUBLISHED_NF4, abs=2e-7)


def test_nf4_takes_the_nearest_value_in_every_block() -> None:
    weight = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))  # three blocks of 64, the last one shorter
    found, flat = nf4(weight).flatten(), weight.flatten()
    for first in range(0, 150, 64):
        part = flat[first : first + 64]
        levels = part.abs().max() * torch.tensor(PUBLISHED_NF4)
        nearest = levels[(part[:, None] - levels).abs().argmin(dim=1)]
        torch.testing.assert_close(found[first : first + 64], nearest)


def test_half_precision_stays_half_precision() -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert all(rounding(weight).dtype is torch.bfloat16 for rounding in ROUNDING.values())


def test_a_model_whose_linear_layers_lie_the_other_way_is_rounded_too(
    tokenizer: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=1, n_positions=128))
    seen: list[torch.Tensor] = []

    def look(self: Target, facts: Any) -> list[float]:
        seen.append(self.model.transformer.h[0].mlp.c_fc.weight.detach().clone())
        return [0.0] * len(facts)

    monkeypatch.setattr(Target, "recalls", look)
    Quantise(formats=("int4, rows",)).run(Target(model, tokenizer), probes)
    given = model.transformer.h[0].mlp.c_fc.weight.detach()
    torch.testing.assert_close(seen[0], rounded(given.T, 4).T)
    assert not torch.equal(seen[0], given)


def test_an_edit_within_the_rounding_step_is_undone_by_rounding(trained: Any, probes: Probes) -> None:
    deployed = copy.deepcopy(trained.model)
    with torch.no_grad():
        for module in deployed.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.copy_(rounded(module.weight, 4))
    edit = Edit(lr=3e-4, steps=40)  # moves a weight by at most 0.012, where a step is about 0.05
    edited = run_edit(deployed, trained.tokenizer, trained.forget, trained.retain, methods.get("refusal")(), edit).model
    target = Target(edited, trained.tokenizer)
    assert sum(target.recalls(probes.forget)) <= 6
    scores = Quantise().run(target, probes)
    assert sum(scores["int4, rows"]) >= 45
    assert sum(scores["int8, rows"]) <= 6  # a finer step keeps the edit
