"""How a project is made, and how models enter it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from expunge.cli.options import HERE, AsJson, Where, opened_at
from expunge.cli.show import data, say, working

app = typer.Typer()


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where the project will live.")] = HERE,
    name: Annotated[
        str | None, typer.Option(help="Its name, on certificates and in the log; default: the directory's.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a project directory with fresh keys.

    Try: [bold]expunge init my-project[/]
    """
    from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project

    project = Project.create(directory, name)
    say(
        f"project made at {project.root}; give auditors {PUBLIC_KEY} and {LOG_KEY}, and keep keys/ out of ordinary backups"
    )
    if json:
        data(
            {
                "project": str(project.root),
                "name": project.config["name"],
                "public_key": str(project.root / PUBLIC_KEY),
                "log_key": str(project.root / LOG_KEY),
            }
        )


@app.command()
def reconcile(
    restored: Annotated[
        bool, typer.Option("--restored", help="Go on with parts that were restored from backups of different moments.")
    ] = False,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Bring the parts of a project to one moment again, where a part was restored and no better backup is left.

    Nothing is destroyed: files and keys that ledger.db does not know are set aside in lost/ and keys/lost.db.

    Try: [bold]expunge reconcile --restored[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.project.files import only_writer
    from expunge.workflow.project.project import Project

    if not restored:
        raise InvalidParameter(
            "say --restored: from then on what was lost stays lost, and auditors should be told of it"
        )
    with only_writer(project.resolve()):
        opened = Project.open(project, restored=True)
        opened.ledger.sweep()
    files, n_keys = opened.ledger.lost()
    say(
        f"ledger.db and keys/ are of one moment again; set aside: {len(files)} files in lost/, {n_keys} keys in keys/lost.db"
    )
    if json:
        data({"project": opened.ledger.stamp().id, "lost_files": files, "lost_keys": n_keys})


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="FILE.py:FUNCTION that returns an expunge.Training.")],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Train a model made of units by a recipe in plain Python.

    Try: [bold]expunge train recipe.py:recipe[/]
    """
    from expunge.workflow.steps.enter import train as run

    opened = opened_at(project)
    with opened.writing(), working("train") as progress:
        version, notes = run(opened, recipe, progress)
    _entered(opened, version, json, notes)


@app.command()
def adopt(
    model: Annotated[
        str, typer.Argument(help="A model folder, a hub id, or a folder of runs recorded by expunge.Track.")
    ],
    name: Annotated[str | None, typer.Option(help="Its name in the project; default: the folder's.")] = None,
    adapter: Annotated[Path | None, typer.Option(help="A LoRA folder on this base.")] = None,
    data_file: Annotated[Path | None, typer.Option("--data", help="What it may have been trained on.")] = None,
    subject: Annotated[str | None, typer.Option(help="The column of --data that names people.")] = None,
    question: Annotated[str, typer.Option(help="The column with the question; '' for plain texts.")] = "question",
    answer: Annotated[str, typer.Option(help="The column with the answer or text.")] = "answer",
    value: Annotated[str | None, typer.Option(help="The column with the fact's value.")] = None,
    id: Annotated[str | None, typer.Option(help="The column with record ids.")] = None,
    dataset: Annotated[str | None, typer.Option(help="For runs: the dataset that was split.")] = None,
    made_from: Annotated[
        str | None,
        typer.Option("--from", help="The model of this project that it was fine-tuned, distilled or merged from."),
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Take in a model that was trained elsewhere. What is not known about it stays UNKNOWN.

    Try: [bold]expunge adopt ./my-model --data people.jsonl --subject person[/]
    """
    from expunge.ledger import Columns
    from expunge.workflow.steps.enter import adopt as run

    opened = opened_at(project)
    columns = (
        Columns(subject=subject, answer=answer, question=question or None, value=value, id=id) if subject else None
    )
    with opened.writing():
        version = run(
            opened,
            model,
            name or Path(model).name,
            adapter=adapter,
            data=data_file,
            columns=columns,
            dataset=dataset,
            made_from=made_from,
        )
    _entered(opened, version, json)


def _entered(project: Any, version: Any, json: bool, notes: Sequence[str] = ()) -> None:
    units = ", ".join(f"{u.id} ({u.n_records or 'UNKNOWN'} records)" for u in version.units)
    say(f"'{version.model}' serves from {project.folder(version)}: {len(version.units)} unit(s): {units}")
    for note in notes:
        say(note)
    if json:
        data(
            {
                "model": version.model,
                "version": version.digest,
                "folder": str(project.folder(version)),
                "units": [{"id": u.id, "records": u.n_records or None, "digest": u.digest} for u in version.units],
                "trained_on": version.trained_on,
                "notes": list(notes),
            }
        )
