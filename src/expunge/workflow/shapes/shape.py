"""One place that knows which module deals with which shape of model. Each has `plan`, `forget` and `replay`.

They are imported when they are needed: most of them bring torch, and a request can be recorded without it.
"""

from importlib import import_module
from typing import Protocol, cast

from expunge.core import Plan
from expunge.ledger import ModelVersion
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made

SHARDS, UNITS, LEARNER, ADOPTED = "adapter_shards", "units", "learner", "adopted"
_MODULES = {SHARDS: "adapter_shards", UNITS: "own_loop", LEARNER: "learner"}


class Shape(Protocol):
    """What can be done with models of one shape."""

    def plan(self, project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
        """What can be done, strongest first. Changes nothing."""
        ...

    def forget(self, job: Job) -> Made:
        """The new state; the project is not changed."""
        ...

    def replay(self, project: Project, version: ModelVersion, request: str, units: list[str]) -> bool | None:
        """Whether an independent rebuild gave an equal state; None where there is nothing to rebuild by."""
        ...


def shape_of(version: ModelVersion) -> str:
    """How a version's folder is laid out; an adopted model may have become adapter shards."""
    return str(version.recipe.get("shape", version.kind))


def shape(version: ModelVersion) -> Shape:
    """The module that deals with a version."""
    return cast(Shape, import_module(f"expunge.workflow.shapes.{_MODULES.get(shape_of(version), 'adopted')}"))
