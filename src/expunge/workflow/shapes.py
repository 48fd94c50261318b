"""One place that knows what can be done with which shape of model."""

from pathlib import Path
from typing import Any

from expunge.core import Plan
from expunge.ledger import ModelVersion
from expunge.workflow.adopted_model import forget_adopted, plan_adopted
from expunge.workflow.learner_model import SHAPE as LEARNER
from expunge.workflow.learner_model import forget_learner, plan_learner
from expunge.workflow.leaving import Leaving
from expunge.workflow.loop_model import forget_units, plan_units
from expunge.workflow.made import Made, Progress
from expunge.workflow.project import Project
from expunge.workflow.shards_model import forget_shards, plan_shards

SHARDS, UNITS = "adapter_shards", "units"


def shape_of(version: ModelVersion) -> str:
    """How a version's folder is laid out; an adopted model may have become adapter shards."""
    return str(version.recipe.get("shape", version.kind))


def plans(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    """What can be done, strongest first."""
    shape = shape_of(version)
    if shape == SHARDS:
        return plan_shards(project, version, leaving)
    if shape == UNITS:
        return plan_units(project, version, leaving)
    if shape == LEARNER:
        return plan_learner(project, version, leaving)
    return plan_adopted(version, leaving)


def do(
    project: Project,
    version: ModelVersion,
    leaving: Leaving,
    plan: Plan,
    options: dict[str, Any],
    work: Path,
    progress: Progress,
) -> Made:
    """Make the new state; the project is not changed."""
    shape = shape_of(version)
    if shape == SHARDS:
        return forget_shards(project, version, leaving, work, progress)
    if shape == UNITS:
        return forget_units(project, version, leaving, options, work, progress)
    if shape == LEARNER:
        return forget_learner(project, version, leaving)
    return forget_adopted(project, version, leaving, plan, options, work, progress)
