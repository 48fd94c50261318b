from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from expunge.engine import Trunk, encode
from expunge.testing.toys import toy_llama
from expunge.verify import Probes
from expunge.verify.attacks._reading import states_before
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.tuned_lens import Translator, TunedLens


def test_fitting_brings_an_inner_layer_close_to_what_the_model_will_say(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer).copy()
    target.model.requires_grad_(False)
    rows = encode(target.tokenizer, probes.retain)
    inner_ND, last_ND, _ = states_before(target, rows, [range(row.n_prompt, len(row.ids)) for row in rows])
    lens = Translator(inner_ND.shape[1])

    def gap() -> float:
        with torch.no_grad():
            said, read = (Trunk.of(target.model).read_out(h).log_softmax(-1) for h in (last_ND, lens(inner_ND)))
        return F.kl_div(read, said, reduction="batchmean", log_target=True).item()

    before = gap()
    TunedLens(steps=100)._fit(target.model, [lens], [inner_ND], last_ND)
    assert gap() < 0.6 * before


def test_before_fitting_it_is_the_logit_lens() -> None:
    h = torch.randn(4, 8)
    assert torch.equal(Translator(8)(h), h)


def test_it_needs_an_inner_layer_and_facts_to_fit_on(trained: Any, probes: Probes) -> None:
    target = Target(trained.model, trained.tokenizer)
    with pytest.raises(CannotRun, match="at least 50"):
        TunedLens().run(target, replace(probes, retain=probes.retain[:49]))
    flat = Target(toy_llama(len(trained.tokenizer), hidden=32, layers=1).eval(), trained.tokenizer)
    with pytest.raises(CannotRun, match="inner layer"):
        TunedLens().run(flat, probes)
