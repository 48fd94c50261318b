"""AdapterShards in a project: train it, load a version again, forget from it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from expunge.core import Plan, Unit
from expunge.core.capability import CAPABILITY
from expunge.exact import AdapterShards
from expunge.ledger import DatasetInfo, LiveRow, ModelVersion, UnitMembers
from expunge.workflow.inputs.recipe import Recipe, Script
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress

KIND = "adapter_shards"


def train_shards(
    project: Project,
    recipe: Recipe,
    script: Script,
    rows: list[LiveRow],
    info: DatasetInfo,
    work: Path,
    progress: Progress,
) -> Made:
    """Fit the recipe's learner on a dataset's live records."""
    learner: AdapterShards = recipe.learner
    learner.salt = project.salt(recipe.model)
    base = keep_base(project, learner)
    learner.fit([row.record for row in rows], work=work, progress=progress)
    source = {"script": str(script.path), "function": script.function, "script_sha256": script.digest}
    return made_of(learner, rows, {**source, "base": base}, info.manifest)


def made_of(learner: AdapterShards, rows: list[LiveRow], recipe: dict[str, Any], manifest: str, **rest: Any) -> Made:
    """What a fitted learner is to the ledger."""
    commitments = {row.record.id: row.commitment for row in rows}
    state = learner.state()
    return Made(
        kind=KIND,
        write=learner.save,
        units=tuple(_members(learner, unit, commitments) for unit in learner.units()),
        promise=learner.promise(),
        recipe={**recipe, "parameters": state["parameters"], "environment": state["environment"]},
        trained_on=manifest,
        **rest,
    )


def load_shards(project: Project, version: ModelVersion, leaving: Leaving) -> AdapterShards:
    """A version with the records it was trained on."""
    base = version.recipe["base"]
    salt = project.salt(version.model)
    return AdapterShards.load(project.folder(version), base, records=leaving.records, salt=salt)


def plan(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    return [load_shards(project, version, leaving).plan(leaving.names)]


def forget(job: Job) -> Made:
    """Rebuild the touched units without the people who leave."""
    version, leaving = job.version, job.leaving
    learner = load_shards(job.project, version, leaving)
    deletion = learner.forget(leaving.names, work=job.work, progress=job.progress)
    rows = [row for row in leaving.rows if row.subject not in set(leaving.request.subjects)]
    recipe = {k: v for k, v in version.recipe.items() if k not in ("parameters", "environment")}
    return made_of(
        learner,
        rows,
        recipe,
        version.trained_on,
        cost=deletion.cost,
        seconds=deletion.elapsed_s,
        method="adapter shards",
    )


def replay(project: Project, version: ModelVersion, request: str, units: list[str]) -> bool:
    """Train the touched units again, in a fresh process and from nothing but the live records; whether bits are equal.

    Raises: subprocess.CalledProcessError, if the process fails: a replay that could not run is not a match.
    """
    kept = {u.id for u in version.units}
    if version.kind == "adopted":
        units = [u for u in units if u in kept] or sorted(kept)
    command = [
        sys.executable,
        "-m",
        "expunge.workflow.shapes.replay",
        str(project.root),
        version.model,
        version.digest,
        *units,
    ]
    done = subprocess.run(command, env={**os.environ, **CAPABILITY}, check=True, capture_output=True, text=True)
    replayed: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    recorded = {u.id: u.digest for u in version.units if u.id in units}
    return replayed == recorded


def keep_base(project: Project, learner: AdapterShards) -> str:
    """Where the base can be loaded from again: a folder or hub name as given, or a copy in the project."""
    if isinstance(learner.base, str | Path):
        local = Path(learner.base)
        return str(local.resolve()) if local.exists() else str(learner.base)
    from expunge.engine import digest_model, save_model
    from expunge.workflow.project.files import new_folder

    folder = project.root / "bases" / digest_model(learner.base).removeprefix("sha256:")[:16]
    if not folder.exists():
        with new_folder(folder) as staging:
            save_model(learner.base, learner.tokenizer, staging)
    return str(folder)


def _members(learner: AdapterShards, unit: Unit, commitments: dict[str, bytes]) -> UnitMembers:
    slices = learner.records(unit.id)
    return UnitMembers(unit, tuple((commitments[r.id], i) for i, part in enumerate(slices, start=1) for r in part))
