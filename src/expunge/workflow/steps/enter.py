"""How models enter a project: trained by a recipe, adopted from elsewhere, or registered from a loop of your own."""

from dataclasses import replace
from pathlib import Path

from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidParameter
from expunge.core.refusals import explaining
from expunge.exact import learners
from expunge.ledger import Columns, ModelVersion
from expunge.workflow.inputs.training import load_training
from expunge.workflow.project.coming_back import check_returning, subjects_in
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.adapter_shards import KIND, train_shards
from expunge.workflow.shapes.adopted import adopt_folder
from expunge.workflow.shapes.learner import train_learner
from expunge.workflow.shapes.made import Made, Progress, keep
from expunge.workflow.shapes.own_loop import adopt_runs
from expunge.workflow.shapes.track import UNIT_FILE
from expunge.workflow.steps.datasets import unrecorded


def train(project: Project, where: str, progress: Progress) -> tuple[ModelVersion, tuple[str, ...]]:
    """Run a recipe and let its model serve; the version, and what is to be known about it. An interrupted run goes on.

    Raises: InvalidParameter, if the model exists; and what the learner raises.
    """
    training, script = load_training(where)
    _check_new(project, training.model)
    live = project.ledger.live_data(training.dataset)
    warnings = [
        *unrecorded(project, [training.dataset]),
        *check_returning(project, {name for row in live.rows for name in row.record.subjects}, training.dataset),
    ]
    work = project.root / "work" / f"train-{training.model}"
    with explaining("what train writes"):
        work.mkdir(parents=True, exist_ok=True)
        rows = list(live.rows)
        if learners.name_of(type(training.learner)) == KIND:
            made = train_shards(project, training, script, rows, live.dataset, work, progress)
        elif project.ledger.planted(training.dataset):
            raise InvalidParameter(
                "this dataset has canaries, which are texts; a learner of tables needs one that was added without them"
            )
        else:
            made = train_learner(project, training, script, rows, live.dataset)
        version = _serve(project, training.model, training.dataset, made)
    remove_durably(work)
    return version, (*made.notes, *warnings)


def adopt(
    project: Project,
    source: str,
    name: str,
    *,
    adapter: Path | None = None,
    data: Path | None = None,
    columns: Columns | None = None,
    dataset: str | None = None,
    made_from: str | None = None,
) -> ModelVersion:
    """Take in a model trained elsewhere, or the runs of a loop that used `split` and `Track`.

    `data` is added as a dataset of the model's name; that the model learned from it stays UNKNOWN. `made_from` names the model
    of this project that it was fine-tuned, distilled, merged or quantised from: whatever that one learned may be in it.
    """
    _check_new(project, name)
    origin = {}
    if made_from is not None:
        origin = {"derived_from": {"model": made_from, "version": project.current(made_from).digest}}
    runs = Path(source)
    if any(runs.glob(f"*/{UNIT_FILE}")):
        if dataset is None:
            raise InvalidParameter(
                "these are runs of your own loop; name the ledger's dataset they were split from with --dataset"
            )
        made = adopt_runs(project, name, dataset, runs)
        return _serve(project, name, dataset, replace(made, recipe={**made.recipe, **origin}))
    made = adopt_folder(source, adapter)
    made = replace(made, recipe={**made.recipe, **origin})
    if data is not None:
        if columns is None:
            raise InvalidParameter("--data needs --subject, the column that names people")
        dataset = name
        check_returning(project, subjects_in(project, data, columns), name)
        project.ledger.add_dataset(name, data, columns)
    version = _serve(project, name, dataset, made)
    project.ledger.register_copy(name, version.digest, _uri(source), kind="source", reachable=False)
    return version


def _serve(project: Project, name: str, dataset: str | None, made: Made) -> ModelVersion:
    version = keep(project, name, dataset, made)
    project.point_current(version)  # before it serves in the ledger: until then the command may be repeated
    return project.ledger.set_current(name, version.digest)


def _check_new(project: Project, name: str) -> None:
    if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise InvalidParameter(f"'{name}' cannot name a model; use letters, digits, '-', '_' and '.'")
    if name in project.ledger.models() and project.ledger.current_version(name):
        raise InvalidParameter(f"there is a model '{name}' already; choose another name")


def _uri(source: str) -> str:
    path = Path(source)
    return path.resolve().as_uri() if path.exists() else f"hub:{source}"
