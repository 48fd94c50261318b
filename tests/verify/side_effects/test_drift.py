import copy
from typing import Any

import pytest
import torch

from expunge.testing.toys import toy_llama
from expunge.verify import Arm
from expunge.verify.side_effects.drift import drift


def scaled(original: Arm, block: int, by: float) -> Arm:
    """The original with one block's weights scaled: only that block is another, and all states from there on."""
    model = copy.deepcopy(original.model)
    with torch.no_grad():
        for p in model.model.layers[block].parameters():
            p.mul_(by)
    return Arm.of(model, original.tokenizer)


def test_an_untouched_model_has_not_moved(original: Arm, probes: Any) -> None:
    found, divergence = drift(original, {"unlearned": original}, probes)
    assert found.places == ("block 0", "block 1", "outside the blocks")
    assert found.weights["unlearned"] == (0.0, 0.0, 0.0)
    assert found.states["unlearned"] == pytest.approx((1.0, 1.0, 1.0))
    assert divergence.arms["unlearned"].value == pytest.approx(0.0, abs=1e-6)


def test_the_block_that_moved_is_named(original: Arm, clean: Arm, probes: Any) -> None:
    found, divergence = drift(original, {"unlearned": scaled(original, 1, 1.5), "control": clean}, probes)
    assert found.weights["unlearned"] == pytest.approx((0.0, 0.5, 0.0))
    states = found.states["unlearned"]
    assert states is not None
    assert states[0] == pytest.approx(1.0)
    assert states[1] < 0.999
    assert divergence.arms["unlearned"].value > 0.01
    control = found.weights["control"]
    assert control is not None
    assert min(control[:2]) > 0.5  # another seed has other weights altogether


@torch.no_grad()
def test_divergence_is_that_of_torch_over_the_answers_tokens(original: Arm, clean: Arm, probes: Any) -> None:
    from expunge.engine import encode

    _, divergence = drift(original, {"unlearned": clean}, probes)
    total = []
    for row in encode(original.tokenizer, probes.retain):
        logits = [arm.model(torch.tensor([row.ids])).logits[0, row.n_prompt - 1 : -1] for arm in (clean, original)]
        p, q = (torch.distributions.Categorical(logits=z.double()) for z in logits)
        total.append(float(torch.distributions.kl_divergence(p, q).mean()))
    assert divergence.arms["unlearned"].value == pytest.approx(sum(total) / len(total), rel=1e-4)


def test_models_that_cannot_be_compared_say_so(original: Arm, probes: Any) -> None:
    other = Arm.of(toy_llama(len(original.tokenizer), hidden=64, layers=3), original.tokenizer)
    found, divergence = drift(original, {"unlearned": other}, probes)
    assert found.weights["unlearned"] is None
    assert found.states["unlearned"] is None
    assert "not those of the original" in found.reasons[0]
    assert "another number of blocks" in divergence.reason
