"""Whole audits on real toy models: each known case gets the name it deserves."""

import copy
import json
from typing import Any

import pytest
import torch

from expunge.approximate import Edit, run_edit
from expunge.approximate.refusal import Refusal
from expunge.core import Assurance, Flag, Guarantee, Outcome
from expunge.core.errors import UnknownSubject
from expunge.verify import Arm, Probes, attack_arm, audit
from expunge.verify.scores import ArmScores


@pytest.fixture(scope="module")
def original(trained: Any, probes: Probes) -> ArmScores:
    return attack_arm(Arm.of(trained.model, trained.tokenizer), probes)


@pytest.fixture(scope="module")
def clean(trained: Any, control: Any, probes: Probes) -> ArmScores:
    return attack_arm(Arm.of(control, trained.tokenizer), probes)


@pytest.fixture(scope="module")
def refusing(trained: Any, probes: Probes) -> ArmScores:
    settings = Edit(lr=3e-3, steps=25, forget_batch=16, retain_batch=32)
    edited = run_edit(trained.model, trained.tokenizer, trained.forget, trained.retain, Refusal(), settings)
    return attack_arm(Arm.of(edited.model, trained.tokenizer), probes)


def test_the_attack_finds_the_data_before_unlearning(original: ArmScores, clean: ArmScores) -> None:
    assert sum(original.scores["direct"]["greedy"]) >= 50
    assert sum(clean.scores["direct"]["greedy"]) <= 15


def test_an_untouched_model_is_retained(original: ArmScores, clean: ArmScores, probes: Probes) -> None:
    result = audit(original=original, unlearned=original, control=clean, probes=probes)
    assert Flag.RETAINED in result.flags
    assert result.assurance is Assurance.CLAIMED
    assert result.worst is not None
    assert result.recall == pytest.approx(sum(original.scores["direct"]["greedy"]) / 60)


def test_a_model_that_learned_to_refuse_is_hidden(
    original: ArmScores, refusing: ArmScores, clean: ArmScores, probes: Probes
) -> None:
    result = audit(original=original, unlearned=refusing, control=clean, probes=probes, guarantee=Guarantee.SUPPRESSED)
    assert Flag.HIDDEN in result.flags
    assert result.assurance <= Assurance.SUPPRESSED


def test_without_a_control_nothing_is_concluded(original: ArmScores, refusing: ArmScores, probes: Probes) -> None:
    result = audit(original=original, unlearned=refusing, control=None, probes=probes)
    assert (result.assurance, result.flags) == (Assurance.CLAIMED, (Flag.INCONCLUSIVE,))
    assert {f.outcome for f in result.findings} == {Outcome.INCONCLUSIVE}
    assert result.skill is None
    assert result.worst is None


def test_its_own_control_is_no_control(original: ArmScores, refusing: ArmScores, probes: Probes) -> None:
    result = audit(original=original, unlearned=refusing, control=refusing, probes=probes)
    assert result.assurance is Assurance.CLAIMED
    assert Flag.INCONCLUSIVE in result.flags


def test_a_wrecked_model_is_damaged_and_passes_nothing(
    trained: Any, original: ArmScores, clean: ArmScores, probes: Probes
) -> None:
    wrecked = copy.deepcopy(trained.model)
    with torch.no_grad():
        wrecked.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    result = audit(original=original, unlearned=Arm.of(wrecked, trained.tokenizer), control=clean, probes=probes)
    assert Flag.DAMAGED in result.flags
    assert result.assurance is Assurance.CLAIMED
    silent = {f.attack for f in result.findings if f.outcome is Outcome.INCONCLUSIVE}
    assert {"probability", "relearn", "retain_finetune", "linear_probe"} <= silent


def test_one_person_is_judged_on_their_own_facts(original: ArmScores, clean: ArmScores, probes: Probes) -> None:
    whole = audit(original=original, unlearned=original, control=clean, probes=probes)
    name = probes.forget[0].subject
    own = whole.about([name])
    assert {f.subject for f in own.probes.forget} == {name}
    assert {f.n_facts for f in own.findings if f.recovered is not None} == {20}
    with pytest.raises(UnknownSubject):
        whole.about(["nobody"])


def test_the_document_holds_no_name_and_no_word_of_the_probes(
    original: ArmScores, clean: ArmScores, probes: Probes
) -> None:
    text = json.dumps(audit(original=original, unlearned=original, control=clean, probes=probes).to_json(b"salt"))
    for fact in probes.forget:
        assert fact.subject not in text
        assert fact.id not in text
        assert fact.question not in text
