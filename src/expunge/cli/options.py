"""Options that several commands share, and how they open a project."""

from pathlib import Path
from typing import Annotated, Any

import typer

Where = Annotated[Path, typer.Option("--project", "-p", help="The project directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Req = Annotated[str, typer.Argument(help="A request, as `expunge request` named it.")]
HERE = Path(".")


def opened_at(project: Path) -> Any:
    """The project of a directory."""
    from expunge.workflow.project.project import Project

    return Project.open(project)
