import copy
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, methods, run_edit
from expunge.core import Record
from expunge.engine import Encoded, Schedule, Trunk, collate, encode, epoch_batches, mean_nll, pad_id, pinned, train
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Company, Target
from expunge.verify.attacks.unlearning_depth import (
    UnlearningDepth,
    carrying,
    patched_drops,
    unlearning_depth_score,
)

TAU = 0.10  # the recovered fraction up to which nothing was recovered


def _continued(base: Any, tokenizer: Any, rows: tuple[Record, ...], seed: int, steps: int = 150) -> Any:
    """A copy of a model trained further, gently enough that its states stay in the base's coordinates."""
    model = copy.deepcopy(base)
    encoded, pad = encode(tokenizer, rows), pad_id(tokenizer)
    batches = [b for epoch in range(steps) for b in epoch_batches(encoded, 32, b"depth", seed, epoch)][:steps]
    with pinned():
        schedule = Schedule(lr=1e-3, warmup=5, shape="cosine")
        train(list(model.parameters()), lambda k: mean_nll(model, collate(batches[k], pad)), steps, schedule)
    return model


@pytest.fixture(scope="module")
def arms(trained: Any, control: Any) -> dict[str, Target]:
    """Models on one base, which knows those who stay and is the control: with those who leave, edited, trained on."""
    tokenizer = trained.tokenizer
    original = _continued(control, tokenizer, (*trained.forget, *trained.retain), seed=0)
    refusal = methods.get("refusal")()
    edited = run_edit(original, tokenizer, trained.forget, trained.retain, refusal, Edit(lr=3e-4, steps=40)).model
    models = {
        "original": original,
        "refusing": edited,
        "control": control,
        "second": _continued(control, tokenizer, trained.retain, seed=2, steps=50),
    }
    company = Company(original=Target(original, tokenizer), control=Target(control, tokenizer))
    return {name: Target(model, tokenizer, company=company) for name, model in models.items()}


def _mean(target: Target, probes: Probes) -> float:
    (row,) = UnlearningDepth().run(target, probes).values()
    assert len(row) == len(probes.forget)
    assert all(0.0 <= value <= 1.0 for value in row)
    return sum(row) / len(row)


def test_it_tells_hidden_from_never_known_and_two_strangers_from_nobody(
    arms: dict[str, Target], probes: Probes
) -> None:
    assert sum(arms["original"].recalls(probes.forget)) >= 50
    assert sum(arms["refusing"].recalls(probes.forget)) <= 6
    found = {name: _mean(target, probes) for name, target in arms.items()}
    contrast = found["original"] - found["control"]
    assert contrast >= 0.4
    recovered = {name: (found[name] - found["control"]) / contrast for name in ("refusing", "second")}
    assert recovered["refusing"] >= 3 * TAU
    assert recovered["second"] <= TAU  # another model that never saw the facts is no discovery


def test_states_of_a_model_from_other_random_weights_do_not_fit(trained: Any, control: Any, probes: Probes) -> None:
    original, other = (Target(model, trained.tokenizer) for model in (trained.model, control))
    with pytest.raises(CannotRun, match="do not fit"):
        UnlearningDepth().run(Target(control, trained.tokenizer, company=Company(original, other)), probes)


def test_it_names_the_models_it_lacks(trained: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="original and control"):
        UnlearningDepth().run(Target(trained.model, trained.tokenizer), probes)


def test_a_control_that_knows_the_facts_carries_nothing(trained: Any, probes: Probes) -> None:
    original = Target(trained.model, trained.tokenizer)
    with pytest.raises(CannotRun, match="know the facts as well"):
        UnlearningDepth().run(Target(trained.model, trained.tokenizer, company=Company(original, original)), probes)


def test_only_the_states_that_say_the_labelled_tokens_are_replaced(llama: Any) -> None:
    other = copy.deepcopy(llama)
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.mul_(-3.0)
    batch = collate([Encoded("a", (0, 9, 8, 7, 1), 3), Encoded("b", (0, 5, 6, 1), 3)])
    _, own_LB = patched_drops(llama, llama, batch)
    assert torch.equal(own_LB, torch.zeros(3, 2))
    whole_B, drop_LB = patched_drops(llama, other, batch)
    # By hand, for row a at the last block: positions 2 and 3 say tokens 7 and 1.
    states = Trunk.of(llama).all_states(batch)[2].clone()
    states[0, 2:4] = Trunk.of(other).all_states(batch)[2][0, 2:4]
    with torch.no_grad():
        logp = llama.lm_head(llama.model.norm(states[0])).log_softmax(-1)
    expected = (logp[2, 7] + logp[3, 1]) / 2
    torch.testing.assert_close(whole_B[0] - drop_LB[2, 0], expected)


def test_weights_leave_out_layers_that_carry_nothing() -> None:
    torch.testing.assert_close(carrying(torch.tensor([[0.04], [0.2], [0.6]]), 0.05), torch.tensor([0.0, 0.25, 0.75]))
    with pytest.raises(CannotRun):
        carrying(torch.tensor([[0.04], [-0.2]]), 0.05)


def test_the_published_score_clips_what_a_layer_can_lose() -> None:
    assert unlearning_depth_score([1.0, 1.0], [0.0, 0.0]) == 0.0  # intact
    assert unlearning_depth_score([1.0, 1.0], [1.0, 5.0]) == 1.0  # erased, and more
    assert unlearning_depth_score([1.0, 3.0], [-2.0, 1.5]) == pytest.approx((0.0 + 1.5) / 4.0)
    assert unlearning_depth_score([0.05], [1.0]) is None
