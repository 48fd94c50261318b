from dataclasses import replace
from typing import Any

import pytest

from expunge.approximate import Edit, methods, run_edit
from expunge.synthetic import derived_records, facts, people, records, with_adjacent
from expunge.testing import contract
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, Target
from expunge.verify.attacks.adjacent import Adjacent

LEAVING, STAYING = people(2), people(3, skip=3)
PROBES = Probes(tuple(with_adjacent(facts(LEAVING), LEAVING)[::2]), tuple(facts(STAYING)[::2]))


def score(model: Any, tokenizer: Any, probes: Probes = PROBES) -> float:
    row = Adjacent().run(Target(model, tokenizer, 48), probes)["greedy"]
    return sum(row) / len(row)


@pytest.fixture(scope="module")
def arms(trained: Any) -> dict[str, Any]:
    """Models that were told every second fact, and what follows from it; the control only of those who stay."""
    forget, retain = records(LEAVING, [0])[::2], records(STAYING, [0])[::2]
    derived, kept = derived_records(LEAVING)[::2], (*retain, *derived_records(STAYING)[::2])
    original = contract.taught((*forget, *derived, *kept), trained.tokenizer, seed=2, steps=200)
    control = contract.taught(kept, trained.tokenizer, seed=3, steps=100)
    edit = Edit(lr=3e-4, steps=40)
    refusing = run_edit(original, trained.tokenizer, forget, kept, methods.get("refusal")(), edit).model
    return {"original": original, "control": control, "refusing": refusing}


def test_it_finds_what_follows_in_the_original_and_nothing_in_the_control(arms: dict[str, Any], trained: Any) -> None:
    assert score(arms["original"], trained.tokenizer) >= 0.8
    assert score(arms["control"], trained.tokenizer) <= 0.1


def test_a_refusal_of_the_plain_question_hides_nothing_that_follows(arms: dict[str, Any], trained: Any) -> None:
    assert sum(Target(arms["refusing"], trained.tokenizer, 48).recalls(PROBES.forget)) <= 1
    assert score(arms["refusing"], trained.tokenizer) >= 0.3


def test_the_best_adjacent_question_counts(arms: dict[str, Any], trained: Any) -> None:
    first = replace(PROBES, forget=tuple(replace(f, adjacent=f.adjacent[:1]) for f in PROBES.forget))
    second = replace(PROBES, forget=tuple(replace(f, adjacent=f.adjacent[1:]) for f in PROBES.forget))
    target = Target(arms["original"], trained.tokenizer, 48)
    both, one, other = (Adjacent().run(target, p)["greedy"] for p in (PROBES, first, second))
    assert both == [max(pair) for pair in zip(one, other, strict=True)]


def test_facts_without_adjacent_questions_cannot_be_scored(trained: Any) -> None:
    bare = replace(PROBES, forget=(PROBES.forget[0], *(replace(f, adjacent=()) for f in PROBES.forget[1:])))
    with pytest.raises(CannotRun, match="19 of 20 facts have no adjacent question"):
        score(trained.model, trained.tokenizer, bare)
