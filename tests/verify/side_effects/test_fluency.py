import math
from typing import Any

import pytest
import torch

from expunge.core import Fact
from expunge.engine import encode, encode_prompt
from expunge.verify import Arm
from expunge.verify.side_effects.fluency import fluency, surprises
from expunge.verify.side_effects.seen import see


def effects(original: Arm, unlearned: Arm, control: Arm, probes: Any) -> dict[str, Any]:
    arms = {"original": original, "unlearned": unlearned, "control": control}
    return {e.name: e for e in fluency({k: see(arm, probes.retain) for k, arm in arms.items()}, probes, original)}


def test_a_model_that_loops_is_told_in_all_three_ways(original: Arm, clean: Arm, looping: Arm, probes: Any) -> None:
    found = effects(original, looping, clean, probes)
    assert found["repeated triples"].change.low > 0.3
    assert found["n-gram entropy"].change.high < -0.5
    assert found["surprise to the original"].change.low > 1.0


def test_an_untouched_model_speaks_as_before(original: Arm, clean: Arm, probes: Any) -> None:
    found = effects(original, original, clean, probes)
    assert abs(found["n-gram entropy"].change.value) < 0.1
    assert found["surprise to the original"].change.value == pytest.approx(0.0, abs=0.05)


@torch.no_grad()
def test_surprise_is_the_mean_loss_of_the_answer_and_its_end(original: Arm, probes: Any) -> None:
    asked = probes.retain[0]
    said = Fact("x", "", asked.question, "In Brimford.")
    (row,) = encode(original.tokenizer, [said])
    logp = torch.log_softmax(original.model(torch.tensor([row.ids])).logits[0], -1)
    by_hand = [-float(logp[i - 1, row.ids[i]]) for i in range(row.n_prompt, len(row.ids))]
    assert surprises(original, [asked], ["In Brimford."])[0] == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4)

    prompt = encode_prompt(original.tokenizer, asked.question)
    logp = torch.log_softmax(original.model(torch.tensor([prompt])).logits[0, -1], -1)
    nothing, something = surprises(original, [asked, asked], ["", "In Brimford."])
    assert nothing == pytest.approx(-float(logp[original.tokenizer.eos_token_id]), rel=1e-4)
    assert math.isfinite(something)
