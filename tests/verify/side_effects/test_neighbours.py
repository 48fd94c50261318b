from typing import Any

import pytest

from expunge.core import Fact
from expunge.verify import Arm, Probes
from expunge.verify.side_effects.neighbours import kinds, neighbours, wording
from expunge.verify.side_effects.seen import Seen, see


def fact(who: str, question: str, value: str) -> Fact:
    return Fact(f"{who}/{question}", who, question.format(who=who), f"It is {value}.", value)


BORN, PLAYS = "Where was {who} born?", "What does {who} play?"
PROBES = Probes(
    forget=(fact("Ada Lind", BORN, "Brimford"), fact("Ada Lind", PLAYS, "the oboe")),
    retain=(
        fact("Bo Falk", BORN, "BRIMFORD"),
        fact("Bo Falk", PLAYS, "Brimford"),  # the same word, but to another question
        fact("Cy Moss", BORN, "Tarnmere"),
        fact("Cy Moss", "Which sport does {who} do?", "rowing"),
    ),
)


def answers(recalled: list[float]) -> Seen:
    return Seen(("x",) * 4, tuple(recalled), ((0.9,),) * 4, ((True,),) * 4)


def test_a_wording_is_a_question_without_its_name() -> None:
    assert wording(PROBES.retain[0]) == wording(PROBES.forget[0]) != wording(PROBES.forget[1])


def test_neighbours_share_the_answer_the_question_or_the_words() -> None:
    found = kinds(PROBES)
    assert found["same value"] == [0]
    assert found["same question"] == [1, 2]
    assert found["nearest words"] == [0]
    assert found["all retained"] == [0, 1, 2, 3]


def test_a_name_alone_brings_nobody_near() -> None:
    """Ada Falk shares a name with the forgotten; what she is asked shares nothing."""
    retain = (fact("Ada Falk", "Which pet has {who}?", "a cat"), fact("Bo Moss", BORN, "Tarnmere"))
    assert kinds(Probes(PROBES.forget, retain))["nearest words"] == [1]


def test_the_kind_that_was_taken_along_shows_and_the_others_do_not() -> None:
    seen = {"original": answers([1, 1, 1, 1]), "unlearned": answers([0, 1, 1, 1]), "control": answers([1, 1, 1, 1])}
    found = {e.name: e for e in neighbours(seen, PROBES)}
    left = {name: e.relative.value for name, e in found.items() if e.relative}
    assert left == {
        "recall: same value": 0.0,
        "recall: same question": 1.0,
        "recall: nearest words": 0.0,
        "recall: all retained": 0.75,
    }


def test_a_kind_without_facts_is_not_measured() -> None:
    lonely = Probes((fact("Ada Lind", "Who is {who}?", "a spy"),), PROBES.retain)
    seen = {arm: answers([1, 1, 1, 1]) for arm in ("original", "unlearned", "control")}
    (found,) = [e for e in neighbours(seen, lonely) if e.name == "recall: same value"]
    assert found.change is None
    assert "no retained fact is of this kind" in found.reason


def test_a_control_that_recalls_nothing_gives_no_ratio() -> None:
    seen = {"unlearned": answers([1, 1, 1, 1]), "control": answers([0, 0, 0, 0])}
    found = neighbours(seen, PROBES)[-1]
    assert found.relative is None
    assert "its mean is 0" in found.reason
    assert found.change is not None


def test_unlearning_that_reaches_too_far_is_seen_on_real_models(
    original: Arm, clean: Arm, refusing: Arm, probes: Any
) -> None:
    def recall_of(unlearned: Arm) -> dict[str, Any]:
        arms = {"original": original, "unlearned": unlearned, "control": clean}
        return {e.name: e for e in neighbours({k: see(arm, probes.retain) for k, arm in arms.items()}, probes)}

    untouched, spoiled = recall_of(original), recall_of(refusing)
    assert untouched["recall: all retained"].relative.value == pytest.approx(1.0, abs=0.05)
    assert spoiled["recall: all retained"].relative.high < 0.5
    assert spoiled["recall: same question"].change.high < -0.5
