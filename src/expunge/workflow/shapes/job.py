"""What a route is given to work on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import Plan
from expunge.ledger import ModelVersion
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.made import Progress


@dataclass(frozen=True, kw_only=True)
class Job:
    """Forget these people from this version, as planned. `work` keeps what a killed run had finished."""

    project: Project
    version: ModelVersion
    leaving: Leaving
    plan: Plan
    options: dict[str, Any]
    work: Path
    progress: Progress
