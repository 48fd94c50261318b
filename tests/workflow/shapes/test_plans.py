"""A plan told from the ledger's members is the plan of the learner itself, which is not loaded for it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from expunge.core import Record
from expunge.exact import AdapterShards, learners
from expunge.synthetic import people, records
from expunge.workflow.shapes import adapter_shards, learner


def _recorded(fitted: Any, members: dict[str, dict[bytes, int]], kind: str) -> tuple[Any, Any]:
    """A project and a version as the ledger has them."""
    project = SimpleNamespace(
        ledger=SimpleNamespace(unit_members=lambda model, digest: members), folder=lambda version: Path("nowhere")
    )
    recipe = {"parameters": json.loads(json.dumps(fitted.state()["parameters"]))}
    promise = json.loads(json.dumps(fitted.promise().to_json()))
    return project, SimpleNamespace(model="m", digest="d", kind=kind, recipe=recipe, promise=promise)


def _leaving(rows: list[Record], *names: str) -> Any:
    theirs = [SimpleNamespace(commitment=row.id.encode(), record=row) for row in rows if row.subject in names]
    everything = [SimpleNamespace(commitment=row.id.encode(), record=row) for row in rows]
    gone = {row.commitment for row in theirs}
    return SimpleNamespace(theirs=theirs, rows=everything, gone=gone, names=sorted(names), lost=set())


@pytest.mark.parametrize("n_leaving", [1, 2])
@pytest.mark.parametrize("route", ["words", "likelihood"])
def test_of_adapter_shards(route: Any, n_leaving: int, llama: Any, tokenizer: Any) -> None:
    rows = records(people(6, seed=3), (0,))[:60]
    fitted = AdapterShards(llama, tokenizer, shards=2, slices=3, rank=2, epochs=2, route=route, salt=b"s" * 32)
    fitted.fit(rows)
    members = {
        unit.id: {r.id.encode(): k for k, part in enumerate(fitted.records(unit.id), start=1) for r in part}
        for unit in fitted.units()
    }
    names = list(dict.fromkeys(row.subject for row in rows))[:n_leaving]
    project, version = _recorded(fitted, members, "adapter_shards")
    assert adapter_shards.plan(project, version, _leaving(rows, *names)) == [fitted.plan(names)]


@pytest.mark.parametrize("kind", learner.COUNTED)
def test_of_tables(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    rows = [Record(f"r{i}", f"p{i % 10}", "", "") for i in range(60)]
    X, y = draw.integers(0, 9, (60, 3)).astype(float), draw.integers(0, 2, 60)
    fitted = learners.get(kind)(salt=b"s" * 32)
    fitted.fit(X, y, subjects=[r.subject for r in rows], records=[r.id for r in rows])
    project, version = _recorded(fitted, {"whole": {row.id.encode(): 1 for row in rows}}, kind)
    few, many = _leaving(rows, "p1", "p7"), _leaving(rows, *(f"p{i}" for i in range(5)))

    def unasked(*_: Any) -> None:
        raise AssertionError("the learner was loaded")

    monkeypatch.setattr(learner, "load_learner", unasked)
    assert learner.plan(project, version, few) == [fitted.plan(few.names)]
    monkeypatch.setattr(learner, "load_learner", lambda *_: fitted)
    assert learner.plan(project, version, many) == [fitted.plan(many.names)]  # as much work as a fit: the learner knows
