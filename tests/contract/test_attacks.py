"""What every attack keeps, on a small budget."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.engine import digest_model
from expunge.verify import Probes
from expunge.verify.attacks import attacks
from expunge.verify.attacks._target import CannotRun, Company, Ran, Scores, Target
from expunge.verify.battery import BATTERIES

SMALL: dict[str, dict[str, Any]] = {
    "relearn": {"sweep": ((2e-4, (1, 2)),)},
    "relearn_lora": {"sweep": ((2e-4, (1, 2)),)},
    "retain_finetune": {"sweep": ((2e-4, (1, 2)),)},
    "unrelated_finetune": {"sweep": ((2e-4, (1, 2)),)},
}
RECALL = [n for n in attacks.names() if attacks.get(n).family != "membership"]
BARE = {  # attack -> probes without the material it needs
    "paraphrase": lambda p: replace(p, forget=(replace(p.forget[0], paraphrases=()), *p.forget[1:])),
    "linear_probe": lambda p: replace(p, retain=p.retain[:49]),
    "retain_finetune": lambda p: replace(p, retain=()),
    "relearn": lambda p: replace(p, forget=p.forget[:1]),
    "membership": lambda p: replace(p, unseen=()),
    "membership_reference": lambda p: replace(p, unseen=()),
    "membership_gradient": lambda p: replace(p, unseen=()),
    "adjacent": lambda p: replace(p, forget=(replace(p.forget[0], adjacent=()), *p.forget[1:])),
}


def run(name: str, target: Target, probes: Probes) -> Scores:
    found = attacks.get(name)(**SMALL.get(name, {})).run(target, probes)
    scores: Scores = found.scores if isinstance(found, Ran) else found
    return scores


@pytest.fixture(scope="module")
def target(trained: Any, control: Any) -> Target:
    from expunge.testing import contract

    out = contract.taught(trained.retain, trained.tokenizer, seed=2)
    original, clean, other = (Target(m, trained.tokenizer) for m in (trained.model, control, out))
    company = Company(original, clean, (other,))
    return Target(trained.model, trained.tokenizer, max_new_tokens=24, company=company)


@pytest.fixture(scope="module")
def probes(probes: Probes) -> Probes:
    """With questions that take a step more; here the plain question again, which every attack of this kind can ask."""
    return replace(probes, forget=tuple(replace(f, adjacent=((f.question, f.value),)) for f in probes.forget))


@pytest.fixture(scope="module")
def first_run(target: Target, probes: Probes) -> dict[str, Scores]:
    before = digest_model(target.model)
    scores = {}
    for name in attacks.names():
        scores[name] = run(name, target, probes)
        assert digest_model(target.model) == before, f"{name} changed the arm"
    return scores


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_scores_every_fact(name: str, first_run: dict[str, Scores], probes: Probes) -> None:
    assert first_run[name]
    for setting, row in first_run[name].items():
        assert len(row) == (len(probes.unseen) if setting.endswith("others") else len(probes.forget))
        assert all(map(math.isfinite, row))
        if name in RECALL:
            assert all(0 <= score <= 1 for score in row)


@pytest.mark.parametrize("name", attacks.names())
def test_every_attack_is_deterministic(name: str, first_run: dict[str, Scores], target: Target, probes: Probes) -> None:
    assert run(name, target, probes) == first_run[name]


@pytest.mark.parametrize("name", BARE)
def test_an_attack_without_its_material_says_so(name: str, target: Target, probes: Probes) -> None:
    with pytest.raises(CannotRun):
        run(name, target, BARE[name](probes))


@pytest.mark.parametrize("name", RECALL)
def test_every_attack_finds_the_data_before_unlearning(name: str, first_run: dict[str, Scores]) -> None:
    # Paraphrases ask in words of no training row, and a toy of two layers that learned one phrasing generalises little.
    bar = 0.0 if name == "paraphrase" else 0.5
    assert max(sum(row) / len(row) for row in first_run[name].values()) >= bar


@pytest.mark.parametrize(
    "name", ["relearn", "relearn_lora", "retain_finetune", "unrelated_finetune", "linear_probe", "logit_lens"]
)
def test_an_attack_on_a_wrecked_model_cannot_run(name: str, target: Target, probes: Probes) -> None:
    wrecked = target.copy()
    with torch.no_grad():
        wrecked.model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(CannotRun):
        run(name, wrecked, probes)


def test_every_attack_is_in_the_deep_battery() -> None:
    assert sorted(BATTERIES["deep"]) == attacks.names()
