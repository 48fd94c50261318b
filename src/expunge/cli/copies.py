"""Where else model versions live: `expunge copies add / list / probe / gone`."""

from typing import Annotated

import typer

from expunge.cli.options import HERE, AsJson, Where, opened_at
from expunge.cli.show import data, say, table

app = typer.Typer()
group = typer.Typer(
    no_args_is_help=True,
    help="Where else model versions live, and whether they are there.\n\nTry: [bold]expunge copies list[/]",
)
app.add_typer(group, name="copies")

Number = Annotated[int, typer.Argument(help="The copy's number in `expunge copies list`.")]


@group.command("add")
def add(
    model: Annotated[str, typer.Argument(help="The model.")],
    uri: Annotated[str, typer.Argument(help="Where the copy lives; without a user, a password or a token.")],
    kind: Annotated[
        str,
        typer.Option(help="folder, object_store, hub, mlflow, lora; or backup, cache, checkpoint, retrieval_store."),
    ],
    version: Annotated[str, typer.Option(help="The beginning of the version's digest; by default what serves.")] = "",
    owner: Annotated[str | None, typer.Option(help="Who deals with it where nothing here can.")] = None,
    until: Annotated[str | None, typer.Option(help="By when, as 2027-01-31.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Register where else a version lives, and ask once. `deliver` purges what it can reach, and names the rest.

    Try: [bold]expunge copies add assistant s3://models/assistant --kind object_store[/]
    """
    from expunge.workflow.steps.copies import add_copy, as_data, probe_copies

    opened = opened_at(project)
    with opened.writing():
        copy = add_copy(opened, model, uri, kind=kind, version=version, owner=owner, until=until)
        (probed,) = probe_copies(opened, copy.id)
    say(f"copy:{copy.id} of '{copy.model}' {copy.version[:23]}: {copy.kind} at {copy.uri}")
    say(f"{probed.found.standing.value}: {probed.found.words}")
    if json:
        data(as_data(copy))


@group.command("list")
def list_(project: Where = HERE, json: AsJson = False) -> None:
    """Every registered copy, and what became of it. Asks nobody.

    Try: [bold]expunge copies list[/]
    """
    from expunge.workflow.steps.copies import all_copies, as_data

    rows = [as_data(copy) for copy in all_copies(opened_at(project))]
    if rows:
        shown = ("copy", "model", "kind", "uri", "state", "reason", "owner", "until")
        table("copies", [{name: "" if row[name] is None else str(row[name]) for name in shown} for row in rows])
    else:
        say("no copy is registered; `expunge copies add` registers one")
    if json:
        data({"copies": rows})


@group.command("probe")
def probe(
    number: Annotated[int | None, typer.Argument(help="A copy's number; without one, all are asked.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Ask every copy whether it is there. Exit code 1: one that was gone came back.

    Try: [bold]expunge copies probe[/]
    """
    from expunge.workflow.steps.copies import as_data, probe_copies

    opened = opened_at(project)
    with opened.writing():
        probed = probe_copies(opened, number)
    for one in probed:
        say(f"copy:{one.copy.id} {one.found.standing.value}: {one.found.words}")
        if one.came_back:
            say(("came back", "red"), f": copy:{one.copy.id} at {one.copy.uri} was gone; it is to be dealt with again")
    if json:
        rows = [
            {
                **as_data(one.copy),
                "found": one.found.standing.value,
                "words": one.found.words,
                "came_back": one.came_back,
            }
            for one in probed
        ]
        data({"copies": rows})
    if any(one.came_back for one in probed):
        raise typer.Exit(1)


@group.command("gone")
def gone(
    number: Number,
    owner: Annotated[str, typer.Option(help="Who says so.")],
    evidence: Annotated[str, typer.Option(help="How that is known, without naming a person who is erased.")],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Declare that a copy is gone which cannot be asked. The certificate shows it as declared.

    Try: [bold]expunge copies gone 3 --owner ops --evidence "tape 12 was shredded, ticket 881"[/]
    """
    from expunge.workflow.steps.copies import as_data, declare_gone

    opened = opened_at(project)
    with opened.writing():
        copy = declare_gone(opened, number, owner=owner, evidence=evidence)
    say(f"copy:{copy.id} is declared gone, and was not seen to be")
    if json:
        data(as_data(copy))
