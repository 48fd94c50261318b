import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from expunge.core.errors import InvalidData
from expunge.verify import Arm
from expunge.verify.side_effects import SideEffects, side_effects


@pytest.fixture(scope="module")
def spoiled(original: Arm, refusing: Arm, clean: Arm, probes: Any) -> SideEffects:
    return side_effects(original, refusing, clean, probes)


def test_every_side_effect_is_there_and_bound_to_its_arms(spoiled: SideEffects, refusing: Arm) -> None:
    assert [e.name for e in spoiled.effects] == [
        *(f"recall: {kind}" for kind in ("same value", "same question", "nearest words", "all retained")),
        *("refusals by phrase", "most repeated answer"),
        *("n-gram entropy", "repeated triples", "surprise to the original"),
        *("calibration error", "divergence from the original", "membership of retained people"),
    ]
    assert spoiled.digests["unlearned"] == refusing.digest
    assert {e.beside for e in spoiled.effects} == {"control"}
    assert spoiled["divergence from the original"].arms["unlearned"].value > 0.5


def test_the_document_holds_numbers_and_no_word_of_the_facts(spoiled: SideEffects, probes: Any) -> None:
    text = json.dumps(spoiled.to_json(), allow_nan=False)
    for fact in (*probes.retain, *probes.forget, *probes.unseen):
        assert fact.subject not in text
        assert fact.question not in text


def test_the_same_arms_give_the_same_document(
    spoiled: SideEffects, original: Arm, refusing: Arm, clean: Arm, probes: Any
) -> None:
    assert side_effects(original, refusing, clean, probes).to_json() == spoiled.to_json()


def test_without_a_control_the_original_stands_in_and_is_named(original: Arm, refusing: Arm, probes: Any) -> None:
    found = side_effects(original, refusing, None, probes)
    assert {e.beside for e in found.effects if e.change} == {"original"}
    assert found["divergence from the original"].beside == ""
    assert "no other arm to compare with" in found["divergence from the original"].reason


def test_a_wrecked_model_gives_reasons_and_no_numbers(trained: Any, original: Arm, clean: Arm, probes: Any) -> None:
    wrecked = copy.deepcopy(trained.model)
    with torch.no_grad():
        wrecked.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    found = side_effects(original, Arm.of(wrecked, trained.tokenizer), clean, probes)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert "NaN" not in text
    for name in ("calibration error", "divergence from the original", "membership of retained people"):
        assert found[name].change is None
        assert found[name].reason
    relative = found["recall: all retained"].relative
    assert relative is not None
    assert relative.value == 0.0


def test_without_retained_facts_there_is_nothing_to_measure(original: Arm, probes: Any) -> None:
    with pytest.raises(InvalidData, match="retain"):
        side_effects(original, original, None, replace(probes, retain=()))
