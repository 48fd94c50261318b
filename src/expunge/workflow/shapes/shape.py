"""The shapes of model, one file each: how a model of that shape is planned, forgotten from, replayed and attacked.

A shape is imported when it is needed, and brings torch only to train or to attack: a plan needs neither.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from expunge.core import Plan, Route
from expunge.ledger import ModelVersion
from expunge.workflow.project.canaries import Canaries
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.arms import Arms, Case
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress

_FILES = {"adapter_shards": "adapter_shards", "units": "own_loop", "learner": "learner"}


class Shape(Protocol):
    """What a file of this folder says of models of its shape."""

    TEXTS: bool  # equal texts are copies of each other; equal rows of a table are two people's own data
    OPTIONS: Mapping[str, Route]  # options of `expunge forget` that mean something here, each with its route

    def plan(self, project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
        """What can be done, strongest first. Changes nothing."""
        ...

    def forget(self, job: Job) -> Made:
        """The new state; the project is not changed."""
        ...

    def replay(
        self, project: Project, version: ModelVersion, request: str, units: list[str], progress: Progress
    ) -> bool | None:
        """Whether an independent rebuild gave an equal state; None where there is nothing to rebuild by."""
        ...

    def arms(self, case: Case) -> Arms:
        """The models that attacks run on: the version before the request, the one after it, and a control."""
        ...

    def trial_start(
        self, project: Project, before: ModelVersion, after: ModelVersion, canaries: Canaries
    ) -> ModelVersion:
        """The version from which canaries go the way of a request.

        Raises: NoProcedure, where they cannot go that way, or no version learned from them.
        """
        ...


def shape_of(version: ModelVersion) -> str:
    """How a version's folder is laid out; an adopted model may have become adapter shards."""
    return str(version.recipe.get("shape", version.kind))


def shape(version: ModelVersion) -> Shape:
    """The module that deals with a version."""
    return cast(Shape, import_module(f"expunge.workflow.shapes.{_FILES.get(shape_of(version), 'adopted')}"))
