"""Units of the user's own loop under attack: everybody is asked of the unit that learned from them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expunge.core.placement import SHARD, place
from expunge.engine import save_model
from expunge.synthetic import facts, people
from expunge.verify import Probes
from expunge.workflow.shapes.arms import Case
from expunge.workflow.shapes.own_loop import DROPPED, arms


@pytest.fixture
def units(tmp_path: Path, llama: Any, tokenizer: Any) -> tuple[Any, Any, Any]:
    """A project's before and after: two units, of which the second is gone afterwards; and whom each learned from."""
    for version, names in (("before", ("shard-000", "shard-001")), ("after", ("shard-000",))):
        for name in names:
            save_model(llama, tokenizer, tmp_path / version / "units" / name)
    project = SimpleNamespace(folder=lambda version: tmp_path / version.path, salt=lambda model: b"salt")
    before, after = (
        SimpleNamespace(path=path, model="m", digest=path, recipe={"shards": 2, "slices": 1})
        for path in ("before", "after")
    )
    return project, before, after


def _question(folder: Path, units: tuple[Any, Any, Any], probes: Probes) -> Case:
    project, before, after = units
    return Case(
        project=project,
        before=before,
        after=after,
        forgotten=probes.forget,
        records=(),
        probes=probes,
        battery="quick",
        work=folder / "work",
        progress=lambda *_: None,
    )


def test_everybody_is_asked_of_their_own_unit_and_nobody_of_a_strangers(
    tmp_path: Path, units: tuple[Any, Any, Any]
) -> None:
    given = facts(people(6))
    living = {who: place(who, b"salt", 2, SHARD) for who in dict.fromkeys(f.subject for f in given)}
    assert set(living.values()) == {0, 1}
    probes = Probes(tuple(given), tuple(facts(people(3, skip=6))))
    found = arms(_question(tmp_path, units, probes))
    assert {living[f.subject] for f in found.probes.forget} == {0}
    n_gone = sum(living[f.subject] == 1 for f in given)
    assert [note.split()[0] for note in found.notes] == [str(n_gone)]
    assert {len(arm.scores["direct"]["greedy"]) for arm in found.models.values()} == {len(found.probes.forget)}
    assert found.models["control"].kind == "placebo"


def test_of_units_that_are_all_gone_nothing_can_be_asked(tmp_path: Path, units: tuple[Any, Any, Any]) -> None:
    gone = [f for f in facts(people(6)) if place(f.subject, b"salt", 2, SHARD) == 1]
    found = arms(_question(tmp_path, units, Probes(tuple(gone), ())))
    assert found.probes.forget == tuple(gone)
    assert "control" not in found.models
    assert {reason for arm in found.models.values() for reason in arm.failed.values()} == {DROPPED}
