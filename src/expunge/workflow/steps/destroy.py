"""Destroy a whole model with what was made from it and their copies, where nothing less will do."""

from pathlib import Path
from typing import Any

from expunge.core import Route
from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidData, NotReady
from expunge.ledger import Decision, Verb, VersionState
from expunge.workflow.project.events import attempt
from expunge.workflow.project.project import Project
from expunge.workflow.steps.approval import by_destroying, check_approved
from expunge.workflow.steps.copies import purge_copies
from expunge.workflow.steps.targets import MODEL, descendants, find_targets, named, origins


def destroy_model(project: Project, request: str, target: str) -> list[dict[str, Any]]:
    """Every version of a model, of whatever was made from it, and every copy that can be reached, as a request's last resort.

    The model's name stays in the ledger, and what it was; nothing serves under it. May be repeated after a kill. Returns what
    went, as the events `destroyed` keep it.

    Raises: UnknownName; NotReady, where the target is done or to be left, or the request is between `forget` and `deliver` on one
    of the models; InvalidData, where a folder is a link. All before any effect.
    """
    project.ledger.require(request, Verb.WORK)
    (held,) = named(find_targets(project, request), [target], MODEL)
    check_approved(project, request, by_destroying(held.name))
    if held.target.done or held.target.decision in (Decision.REFUSED, Decision.EXEMPT):
        raise NotReady(f"'{held.name}' is {held.target.sentence}; decide otherwise before it is destroyed")
    models = [held.target.of, *descendants(origins(project), [held.target.of])]
    for model in models:
        if attempt(project, request, model) and not project.ledger.current_version(model):
            raise NotReady(
                f"'{model}' is between `forget` and `deliver`: `expunge abandon {request}`, then destroy it, or deliver"
            )
        for folder in _folders(project, model):
            if folder.is_symlink():
                raise InvalidData(f"{folder} is a link; put the folder itself there, or what it points at would stay")
    return [_destroyed(project, request, model) for model in models]


def _destroyed(project: Project, request: str, model: str) -> dict[str, Any]:
    versions = [v for v in project.ledger.model_versions(model) if v.state is not VersionState.PURGED]
    with project.ledger.transaction():
        for version in versions:
            project.ledger.quarantine(model, version.digest)
        project.ledger.entomb(request)
    remove_durably(project.root / "models" / model / "current")
    reached, left = purge_copies(project, request, model)
    for folder in _folders(project, model):
        remove_durably(folder)
    remove_durably(project.work(request, model))
    for version in versions:
        project.ledger.mark_purged(model, version.digest)
    detail = {
        "model": model,
        "versions": [version.digest for version in versions],
        "purged": [*(f"version {version.digest[:23]}" for version in versions), *reached],
        "unreachable": left,
    }
    with project.ledger.transaction():
        project.ledger.append_event(request, "destroyed", detail)
        project.ledger.finish_target(request, f"{MODEL}:{model}", {"route": Route.DESTROY.value, "version": None})
    return detail


def _folders(project: Project, model: str) -> list[Path]:
    home = project.root / "models" / model
    inside = [path for path in home.iterdir() if path.is_dir()] if home.exists() else []
    return [*inside, project.root / "work" / f"train-{model}", project.root / "runs" / model]
