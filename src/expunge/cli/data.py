"""How data enters a project, grows and moves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from expunge.cli.options import HERE, AsJson, Where, opened_at
from expunge.cli.show import data, say

CANARIES = 200  # facts, if no number is given

app = typer.Typer()
data_app = typer.Typer(
    no_args_is_help=True, help="Datasets.\n\nTry: [bold]expunge data add people.jsonl --subject person[/]"
)
app.add_typer(data_app, name="data")

Withdrawn = Annotated[
    bool,
    typer.Option(
        "--withdrawn",
        help="Recorded rows that the file lacks, and nobody asked for, were taken out for good: they are entombed, and a request "
        "about them says what learned from them.",
    ),
]


@data_app.command("add")
def data_add(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL (also .gz) or Parquet.")],
    subject: Annotated[str, typer.Option(help="The column that names whose record it is.")],
    subjects_separator: Annotated[
        str | None,
        typer.Option(
            help="What stands between names where a record is about several people, such as ';'. In JSONL the column may be a list "
            "of names instead."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: the file's.")] = None,
    question: Annotated[str, typer.Option(help="The column with the question; '' for plain texts.")] = "question",
    answer: Annotated[str, typer.Option(help="The column with the answer or text.")] = "answer",
    value: Annotated[
        str | None, typer.Option(help="The column with the part of the answer that carries the fact.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="The column with record ids; without one, row numbers.")] = None,
    features: Annotated[
        str,
        typer.Option(
            help="In place of a question: columns, by commas, that are the input of a model; NAME:KIND says that one is a "
            "number, text, category, boolean or date, NAME:ONE|OTHER lists its categories. Default: as the file has them."
        ),
    ] = "",
    canaries: Annotated[
        bool,
        typer.Option(
            "--canaries",
            help=f"Plant invented people with {CANARIES} facts: what attacks find about them tells how well the way of "
            "forgetting works. They are trained on like anybody else.",
        ),
    ] = False,
    canary_facts: Annotated[int | None, typer.Option(help="Plant them with so many facts instead.")] = None,
    made_from: Annotated[
        list[str] | None,
        typer.Option(
            "--from", help="A dataset of this project that the file was made from, as it is now; may be repeated."
        ),
    ] = None,
    withdrawn: Withdrawn = False,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Commit to the records of a file; the file stays where it is. A dataset that is there takes in what is new.

    Try: [bold]expunge data add people.jsonl --subject person --id id[/]
    """
    from expunge.core.refusals import explaining
    from expunge.ledger import Columns, Feature
    from expunge.workflow.steps.datasets import add_file

    opened = opened_at(project)
    n_facts = CANARIES if canaries and canary_facts is None else canary_facts
    inputs = tuple(Feature.of(name.strip()) for name in features.split(",") if name.strip())
    column = None if inputs else question or None
    columns = Columns(
        subject=subject,
        separator=subjects_separator,
        answer=answer,
        question=column,
        value=value,
        id=id,
        features=inputs,
    )
    with opened.writing(), explaining("what data add writes"):
        entered = add_file(
            opened,
            name or file.name.split(".")[0],
            file,
            columns,
            n_facts=n_facts,
            withdrawn=withdrawn,
            made_from=made_from or (),
        )
    info, growth = entered.dataset, entered.growth
    _noted(entered.notes)
    planted = None if growth else opened.ledger.planted(info.name)
    invented = (
        {"people": len(planted.subjects), "records": len(planted.records), "facts": len(planted.facts)}
        if planted
        else {}
    )
    if growth:
        say(
            f"'{info.name}' took in {growth.n_new} records, and {growth.n_people} people of whom it had none; version "
            f"{info.version}"
        )
    say(f"dataset '{info.name}': {info.n_records} records of {info.n_subjects} subjects")
    _withdrawn(entered.withdrawal)
    kinds = [f for f in info.columns.features if isinstance(f, Feature)]
    for kind in dict.fromkeys(f.kind for f in kinds):
        say(f"{kind}: {', '.join(f.name for f in kinds if f.kind == kind)}")
    if planted:
        say(
            f"among them {invented['records']} records of {invented['people']} invented people ({invented['facts']} facts)"
        )
    if id is None and not growth:
        say(
            "no id column was named: rows are known by number, so that taking one out of the file renames the others until "
            "`expunge data follow`; prefer --id"
        )
    if json:
        data(
            {
                "dataset": info.name,
                "version": info.version,
                "records": info.n_records,
                "subjects": info.n_subjects,
                "manifest": info.manifest,
                **(
                    {
                        "new": growth.n_new,
                        "new_people": growth.n_people,
                        "gone": growth.n_gone,
                        "not_taken_in": growth.n_waiting + growth.n_entombed,
                        "withdrawn": len(growth.withdrawn),
                        "request": entered.withdrawal.id if entered.withdrawal else None,
                    }
                    if growth
                    else {}
                ),
                "notes": list(entered.notes),
                **({"features": [f.to_json() for f in kinds]} if kinds else {}),
                **({"canaries": invented} if planted else {}),
            }
        )


@data_app.command("follow")
def data_follow(
    file: Annotated[Path, typer.Argument(help="The file that a dataset's rows are in from now on.")],
    name: Annotated[str | None, typer.Option(help="The dataset; default: the file's name.")] = None,
    withdrawn: Withdrawn = False,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Let a dataset's rows be in another file, or in the same one without the lines of people who were erased.

    Without an id column lines are matched in their order by what they hold, so that any may have been taken out.

    Try: [bold]expunge data follow people.csv[/]
    """
    from expunge.core.refusals import explaining
    from expunge.workflow.steps.datasets import follow

    opened = opened_at(project)
    with opened.writing(), explaining("what data follow writes"):
        followed, request, notes = follow(opened, name or file.name.split(".")[0], file, withdrawn=withdrawn)
    _noted(notes)
    say(f"'{followed.dataset.name}' follows {file}: {followed.n_matched} recorded rows are in it")
    _withdrawn(request)
    if json:
        data(
            {
                "dataset": followed.dataset.name,
                "source": followed.dataset.source,
                "matched": followed.n_matched,
                "gone": followed.n_gone,
                "unrecorded": followed.n_unrecorded,
                "withdrawn": len(followed.withdrawn),
                "request": request.id if request else None,
                "notes": notes,
            }
        )


def _noted(notes: Any) -> None:
    for note in notes:
        say(("note", "yellow"), f": {note}")


def _withdrawn(request: Any) -> None:
    if request:
        say(
            f"{request.n_records} rows were withdrawn: request {request.id}; next `expunge plan {request.id}`, which says what "
            "learned from them"
        )
