"""Scores of several people as one arm: what is missing in one is missing in all."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expunge.core.placement import SHARD, place
from expunge.engine import save_model
from expunge.synthetic import facts, people
from expunge.verify import Probes
from expunge.verify.scores import ArmScores
from expunge.workflow.steps.arms import join, unit_arms


def _part(hit: float, **rest: object) -> ArmScores:
    given = {
        "digest": f"d{hit}",
        "scores": {"relearn": {"lr 1 @ 5": [hit, 0.0]}, "direct": {"greedy": [hit, hit]}},
        "failed": {},
        "skill": (),
        "elapsed_s": {"relearn": 1.0},
        "checks": {"relearn": {"learnt": hit, "kept": {"lr 1 @ 5": 1 - hit}}, "direct": {}},
        "spent": {"relearn": {"tokens": 10, "steps": 2}},
        "precision": "float32",
        "unseen": (0.0, hit),
    }
    return ArmScores(**{**given, **rest})  # type: ignore[arg-type]


def test_scores_follow_each_other_and_costs_add_up() -> None:
    joined = join([_part(1.0), _part(0.5)])
    assert joined.scores["direct"]["greedy"] == [1.0, 1.0, 0.5, 0.5]
    assert joined.spent["relearn"] == {"tokens": 20, "steps": 4}
    assert joined.elapsed_s["relearn"] == 2.0
    assert joined.unseen == (0.0, 0.75)
    assert joined.digest not in ("d1.0", "d0.5")
    assert joined.precision == "float32"


def test_a_check_is_as_bad_as_where_it_went_worst() -> None:
    checks = join([_part(1.0), _part(0.5)]).checks
    assert checks["relearn"] == {"learnt": 0.5, "kept": {"lr 1 @ 5": 0.0}}
    assert checks["direct"] == {}
    unchecked = join([_part(1.0), _part(0.5, checks={})]).checks
    assert unchecked["relearn"] == {}


def test_an_attack_that_failed_on_one_person_failed() -> None:
    half = _part(0.5, scores={"direct": {"greedy": [0.0, 0.0]}}, failed={"relearn": "too few facts"})
    for parts in ([_part(1.0), half], [half, _part(1.0)]):
        joined = join(parts)
        assert joined.failed == {"relearn": "too few facts"}
        assert "relearn" not in joined.scores


@pytest.fixture
def units(tmp_path: Path, llama: Any, tokenizer: Any) -> tuple[Any, Any, Any]:
    """A project's before and after: two units, of which the second is gone afterwards; and whom each learned from."""
    for version, names in (("before", ("shard-000", "shard-001")), ("after", ("shard-000",))):
        for name in names:
            save_model(llama, tokenizer, tmp_path / version / "units" / name)
    project = SimpleNamespace(folder=lambda version: tmp_path / version.path, salt=lambda model: b"salt")
    before, after = (
        SimpleNamespace(path=path, model="m", recipe={"shards": 2, "slices": 1}) for path in ("before", "after")
    )
    return project, before, after


def test_everybody_is_asked_of_their_own_unit_and_nobody_of_a_strangers(
    tmp_path: Path, units: tuple[Any, Any, Any]
) -> None:
    project, before, after = units
    given = facts(people(6))
    living = {who: place(who, b"salt", 2, SHARD) for who in dict.fromkeys(f.subject for f in given)}
    assert set(living.values()) == {0, 1}
    probes = Probes(tuple(given), tuple(facts(people(3, skip=6))))
    arms, asked, n_gone = unit_arms(project, before, after, probes, "quick", None, tmp_path / "work", lambda *_: None)
    assert {living[f.subject] for f in asked.forget} == {0}
    assert n_gone == sum(living[f.subject] == 1 for f in given) > 0
    assert {len(arm.scores["direct"]["greedy"]) for arm in arms.values()} == {len(asked.forget)}
    assert arms["control"].kind == "placebo"


def test_of_units_that_are_all_gone_nothing_can_be_asked(tmp_path: Path, units: tuple[Any, Any, Any]) -> None:
    project, before, after = units
    gone = [f for f in facts(people(6)) if place(f.subject, b"salt", 2, SHARD) == 1]
    arms, asked, n_gone = unit_arms(
        project, before, after, Probes(tuple(gone), ()), "quick", None, tmp_path / "work", lambda *_: None
    )
    assert (arms, asked.forget, n_gone) == ({}, tuple(gone), len(gone))
