from typing import Any

import pytest
import torch

from expunge.engine import Encoded, Trunk, collate
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.noise import Noise, shaken


def test_the_noise_has_the_size_that_was_asked_for() -> None:
    x = torch.zeros(200, 500)
    noise = shaken(x, torch.tensor(0.3), torch.Generator().manual_seed(0))
    assert noise.std().item() == pytest.approx(0.3, rel=0.01)  # 100,000 draws: standard error 0.2 %
    assert noise.mean().item() == pytest.approx(0.0, abs=0.005)


def test_every_tensor_is_shaken_by_its_own_spread(
    llama: Any, tokenizer: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def look(self: Target, facts: Any) -> list[float]:
        seen.append({name: p.detach().clone() for name, p in self.model.named_parameters()})
        return [0.0] * len(facts)

    monkeypatch.setattr(Target, "recalls", look)
    Noise(weights=(0.1,), states=(), draws=2).run(Target(llama, tokenizer), probes)
    given = dict(llama.named_parameters())
    for name, p in given.items():
        if p.dim() > 1:
            assert (seen[0][name] - p).std().item() == pytest.approx(0.1 * p.std().item(), rel=0.1)
            assert not torch.equal(seen[0][name], seen[1][name])
        else:  # norm weights are all one: no spread, no noise
            assert torch.equal(seen[0][name], p)


def test_states_are_shaken_after_every_block_and_no_two_passes_alike(
    llama: Any, tokenizer: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = collate([Encoded("a", (0, 9, 8, 7, 1), 2)])
    seen: list[list[torch.Tensor]] = []

    def look(self: Target, facts: Any) -> list[float]:
        seen.extend([Trunk.of(self.model).all_states(batch), Trunk.of(self.model).all_states(batch)])
        return [0.0] * len(facts)

    monkeypatch.setattr(Target, "recalls", look)
    Noise(weights=(), states=(0.1,), draws=1).run(Target(llama, tokenizer), probes)
    quiet = Trunk.of(llama).all_states(batch)
    for block in range(3):
        assert not torch.equal(seen[0][block], quiet[block])
        assert not torch.equal(seen[0][block], seen[1][block])


def test_a_fact_scores_its_mean_over_draws(
    llama: Any, tokenizer: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    monkeypatch.setattr(Target, "recalls", lambda *_: next(answers))
    scores = Noise(weights=(0.1,), states=(), draws=4).run(Target(llama, tokenizer), probes)
    assert scores == {"weights, 0.1 sd": [0.75, 0.25]}


def test_weights_that_are_no_numbers_are_not_shaken(llama: Any, tokenizer: Any, probes: Probes) -> None:
    broken = Target(llama, tokenizer).copy()
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("inf"))
    with pytest.raises(CannotRun, match="not finite"):
        Noise().run(broken, probes)
