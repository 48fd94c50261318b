"""A new model version, whatever kind of model it is of: what a route made, and how it enters the ledger."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expunge.core import Promise
from expunge.core.digests import digest_folder
from expunge.core.durable import remove_durably, rename_durably
from expunge.ledger import ModelVersion, UnitMembers
from expunge.workflow.project.files import new_folder
from expunge.workflow.project.project import Project

Progress = Callable[[str, int, int], None]  # what is being worked on, steps done, steps in all


@dataclass(frozen=True, kw_only=True)
class Made:
    """A state that can be written to a folder, its units with their members, and what it took."""

    kind: str
    write: Callable[[Path], None]
    units: tuple[UnitMembers, ...]
    promise: Promise
    recipe: dict[str, Any]
    trained_on: str
    cost: float | None = None
    seconds: float | None = None
    method: str = ""
    notes: tuple[str, ...] = field(default=())


def keep(
    project: Project,
    model: str,
    dataset: str | None,
    made: Made,
    parent: str | None = None,
    without: Collection[str] = (),
    without_records: Collection[bytes] = (),
) -> ModelVersion:
    """Write a version beside the others and record it as a candidate. May be repeated.

    `without`: who was left out of what its parent was trained on; `without_records`: what else was.
    """
    staging = project.root / "models" / model / "new"
    with new_folder(staging) as folder:
        made.write(folder)
    digest = digest_folder(staging)
    final = project.root / project.version_path(model, digest)
    if final.exists():
        remove_durably(staging)
    else:
        rename_durably(staging, final)
    return project.ledger.record_model_version(
        model,
        kind=made.kind,
        digest=digest,
        path=project.version_path(model, digest),
        units=made.units,
        dataset=dataset,
        trained_on=made.trained_on,
        without=without,
        without_records=without_records,
        parent=parent,
        recipe=made.recipe,
        promise=made.promise,
    )
