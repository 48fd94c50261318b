"""Options that several commands share, and how they open a project."""

from pathlib import Path
from typing import Annotated, Any

import typer

Where = Annotated[Path, typer.Option("--project", "-p", help="The project directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Req = Annotated[str, typer.Argument(help="A request, as `expunge request` named it.")]
HERE = Path(".")


def opened_at(project: Path) -> Any:
    """The project of a directory; what its ledger does not know is said."""
    from expunge.cli.show import say
    from expunge.workflow.project.project import Project

    opened = Project.open(project)
    files, n_keys = opened.ledger.lost()
    if files or n_keys:
        say(
            f"note: {len(files)} files in lost/ and {n_keys} keys in keys/lost.db are not known to ledger.db: of a command that "
            "was stopped, or of a newer ledger.db than this one. Restore that one, or remove them"
        )
    for version in opened.came_back():
        say(
            ("note", "yellow"),
            f": a version of '{version.model}' that was purged is on disk again, at {opened.folder(version)}: it holds who was "
            "erased. Remove that folder, and look where else its backup was restored",
        )
    return opened
