from dataclasses import replace
from typing import Any

import pytest

from expunge.core import Fact
from expunge.synthetic import facts, people
from expunge.verify import Probes
from expunge.verify.attacks._finetune import N_KEPT, every_weight, finetune, held_back
from expunge.verify.attacks._relearn import teachable
from expunge.verify.attacks._target import CannotRun, Target, halves
from expunge.verify.attacks.relearn import Relearn


def test_no_fact_is_trained_and_asked_at_once() -> None:
    probes = Probes(tuple(facts(people(3))), ())
    first, second = halves(probes)
    assert sorted(first + second) == list(range(60))
    for part in (first, second):
        assert {probes.forget[i].subject for i in part} == {f.subject for f in probes.forget}
        assert len(part) == 30


def test_the_halves_follow_ids_and_not_positions() -> None:
    given = tuple(facts(people(2)))
    a, b = Probes(given, ()), Probes(given[::-1], ())
    assert {a.forget[i].id for i in halves(a)[0]} == {b.forget[i].id for i in halves(b)[0]}


def test_one_fact_each_leaves_nothing_to_ask() -> None:
    lone = Fact("1", "Ada", "q", "a")
    with pytest.raises(CannotRun):
        halves(Probes((lone, replace(lone, id="2", subject="Bo", question="r")), ()))


def test_each_half_is_asked_of_the_model_that_was_shown_the_other(
    trained: Any, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[set[str]] = []
    asked: list[set[str]] = []

    def watch(target: Target, text: Any, _lr: float, moments: Any, _size: int, score: Any, *_: Any) -> None:
        shown.append({f.id for f in text})
        for done in moments:
            score(target, done)

    def answer(_: Target, text: Any) -> list[float]:
        asked.append({f.id for f in text})
        return [1.0] * len(text)

    monkeypatch.setattr("expunge.verify.attacks._relearn.finetune", watch)
    monkeypatch.setattr(Target, "recalls", answer)
    ran = Relearn(sweep=((1e-4, (15,)),)).run(Target(trained.model, trained.tokenizer), probes)
    forget, unseen = {f.id for f in probes.forget}, {f.id for f in probes.unseen}
    kept = {f.id for f in held_back(probes)[0]}
    assert shown[0] | shown[1] == forget
    assert not shown[0] & shown[1]
    assert asked == [shown[1], kept, shown[0], shown[2]]
    assert shown[2] <= unseen
    assert ran.scores == {"lr 0.0001 @ 15": [1.0] * 60}
    assert ran.retained == {"lr 0.0001 @ 15": 1.0}
    assert ran.learnt == 1.0


def test_retained_facts_that_are_asked_are_not_rehearsed() -> None:
    probes = Probes(tuple(facts(people(1))), tuple(facts(people(20, skip=1))))
    asked, rehearsed = held_back(probes)
    assert len(asked) == N_KEPT
    assert sorted(f.id for f in (*asked, *rehearsed)) == sorted(f.id for f in probes.retain)
    few = held_back(replace(probes, retain=probes.retain[:3]))
    assert [len(part) for part in few] == [1, 2]


def test_whether_an_arm_can_be_taught_follows_the_largest_budget(control: Any, trained: Any, probes: Probes) -> None:
    target = Target(control, trained.tokenizer)
    assert teachable(target, probes, ((1e-9, (1,)), (3e-3, (40,))), 12, every_weight) == 1.0
    untaught = teachable(target, probes, ((1e-9, (2,)),), 12, every_weight)
    assert untaught is not None
    assert untaught <= 0.1
    assert teachable(target, replace(probes, unseen=()), ((1e-9, (1,)),), 12, every_weight) is None


def test_training_that_diverges_is_no_score(control: Any, trained: Any, probes: Probes) -> None:
    with pytest.raises(CannotRun, match="diverged"):
        finetune(Target(control, trained.tokenizer), probes.retain, 1e30, (5,), 8, lambda *_: None)
