"""What every attack keeps, on a small budget."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from expunge.testing import attacks as contract
from expunge.verify import Probes
from expunge.verify.attacks import CannotRun, Scores, Target, attacks
from expunge.verify.batteries import BATTERIES

SMALL: dict[str, dict[str, Any]] = {
    "relearn": {"sweep": ((2e-4, (1, 2)),)},
    "relearn_lora": {"sweep": ((2e-4, (1, 2)),)},
    "retain_finetune": {"sweep": ((2e-4, (1, 2)),)},
    "unrelated_finetune": {"sweep": ((2e-4, (1, 2)),)},
}
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
CASES = [
    (name, claim)
    for name in attacks.own()
    for claim in contract.CLAIMS
    # Paraphrases ask in words of no training row, and a toy of two layers that learned one phrasing generalises little.
    if (name, claim) != ("paraphrase", contract.finds_the_data_before_unlearning)
]


def small(name: str) -> Any:
    return attacks.get(name)(**SMALL.get(name, {}))


@pytest.mark.parametrize("name, claim", CASES, ids=lambda case: getattr(case, "__name__", case))
def test_every_attack_keeps(name: str, claim: contract.Claim) -> None:
    claim(small(name))


@pytest.mark.parametrize("name", BARE)
def test_an_attack_without_its_material_says_so(name: str) -> None:
    with pytest.raises(CannotRun):
        contract.run(small(name), contract.target(), BARE[name](contract.probes()))


@pytest.mark.parametrize(
    "name", ["relearn", "relearn_lora", "retain_finetune", "unrelated_finetune", "linear_probe", "logit_lens"]
)
def test_an_attack_on_a_wrecked_model_cannot_run(name: str) -> None:
    wrecked = contract.target().copy()
    with torch.no_grad():
        wrecked.model.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(CannotRun):
        contract.run(small(name), wrecked, contract.probes())


def test_every_attack_is_in_the_deep_battery() -> None:
    assert sorted(BATTERIES["deep"]) == attacks.own()


def test_the_contract_refuses_an_attack_that_finds_nothing() -> None:
    with pytest.raises(AssertionError, match="finds 0% of facts that are known by heart"):
        contract.finds_the_data_before_unlearning(contract.FindsNothing())


@dataclass(frozen=True, kw_only=True)
class Careless(contract.FindsNothing):
    """Scores one fact too few, changes the arm, and cannot do without a retained fact."""

    family: ClassVar[str] = "perturbation"

    def run(self, target: Target, probes: Probes) -> Scores:
        assert probes.retain[0]
        with torch.no_grad():
            next(target.model.parameters()).view(-1)[0] += 1.0
        return {"greedy": [0.0] * (len(probes.forget) - 1)}


def test_the_contract_refuses_an_attack_that_is_careless(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = contract.target().copy()
    monkeypatch.setattr(contract, "target", lambda: copied)
    with pytest.raises(AssertionError, match="the arm was changed"):
        contract.leaves_the_arm_as_it_is(Careless())
    with pytest.raises(AssertionError, match="'greedy' has 59 scores, 60 are needed"):
        contract.scores_every_fact(Careless())
    with pytest.raises(IndexError):
        contract.says_what_it_lacks(Careless())
