"""The steps of a request, in their order."""

from typing import Annotated

import typer

from expunge.cli.edit_options import NOTHING_SAID, EditOptions, with_edit_options
from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say, table, working
from expunge.cli.verifying import verify

app = typer.Typer()


@app.command()
def request(
    dataset: Annotated[str, typer.Option(help="The dataset that holds the people.")],
    subjects_file: Annotated[
        str,
        typer.Option(help="A file with one identity a line (.jsonl: a JSON string a line), or - for standard input."),
    ] = "-",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Record that people ask to be forgotten. Identities come from a file or standard input, never from arguments.

    Try: [bold]echo "Ada Lind" | expunge request --dataset people --subjects-file -[/]
    """
    from expunge.workflow.inputs.identities import read_identities

    opened = opened_at(project)
    identities = read_identities(subjects_file)
    with opened.writing():
        made = opened.ledger.open_request(dataset, identities.names)
    say(f"request {made.id}: {identities.lines} line(s), {len(made.subjects)} subject(s), due {made.due_at}")
    if json:
        data(
            {
                "request": made.id,
                "lines": identities.lines,
                "subjects": len(made.subjects),
                "received_at": made.received_at,
                "due_at": made.due_at,
            }
        )


@app.command()
def plan(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """What forgetting would touch, by which route, at what cost. Changes nothing.

    Try: [bold]expunge plan req-0123456789[/]
    """
    from dataclasses import asdict

    from expunge.workflow.steps.forget import plan_request

    found = plan_request(opened_at(project), request)
    rows = [
        {
            "model": m.model,
            "route": p.route.value,
            "guarantee": p.promise.guarantee.value,
            "units": ", ".join(f"{u.id} from slice {u.first_slice}" for u in p.units),
            "cost vs retraining": "UNKNOWN" if p.cost is None else f"{p.cost:.0%}",
            "notes": "; ".join(p.notes),
        }
        for m in found
        for p in m.plans
    ]
    if rows:
        table(f"{request}: routes, strongest first", rows)
    else:
        say("no serving model learned from these people")
    if json:
        data({"request": request, "models": [asdict(m) for m in found]})


@app.command()
@with_edit_options
def forget(
    request: Req,
    model: Annotated[str | None, typer.Option(help="Which model, where several are concerned.")] = None,
    route: Annotated[str | None, typer.Option(help="A route that `expunge plan` lists; default: the first.")] = None,
    method: Annotated[str | None, typer.Option(help="For route edit: an approximate method.")] = None,
    edit: EditOptions = NOTHING_SAID,
    rebuild: Annotated[
        str | None, typer.Option(help="For units of your own loop: FILE.py:FUNCTION that trains one.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Build the version without these people beside the old one, which is quarantined. Sizes are for route edit, as those of
    `expunge edit`.

    Try: [bold]expunge forget req-0123456789[/]
    """
    from expunge.workflow.steps.forget import forget_request

    opened = opened_at(project)
    options = {"method": method, "set": edit.set or None, "rebuild": rebuild, **edit.settings()}
    with opened.writing(), working("forget") as progress:
        done = forget_request(opened, request, progress, model=model, route=route, options=options)
    cost = "UNKNOWN" if done["cost"] is None else f"{done['cost']:.0%}"
    say(
        f"'{done['model']}': {done['route']} by {done['method']}, {done['n_removed']} records, cost {cost} of retraining; "
        f"the old version is quarantined. Next: expunge verify {request}"
    )
    if json:
        data(done)


app.command()(verify)


@app.command()
def deliver(
    request: Req,
    override: Annotated[
        str | None, typer.Option(help="Deliver in spite of this flag; the certificate shows it.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Switch to the new version; purge the old one, checkpoints, caches, attack by-products and reachable copies.

    Try: [bold]expunge deliver req-0123456789[/]
    """
    from expunge.workflow.steps.deliver import deliver_request

    opened = opened_at(project)
    with opened.writing():
        done = deliver_request(opened, request, override)
    say(f"'{done['model']}' serves the new version; purged: {', '.join(done['purged'])}")
    for uri in done["unreachable"]:
        say(("not reached", "yellow"), f": {uri}")
    if json:
        data(done)


@app.command()
def certify(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Sign what was done and found, append its hash to the log, and write the page.

    Try: [bold]expunge certify req-0123456789[/]
    """
    from expunge.workflow.steps.certify import PROOF, certify_request
    from expunge.workflow.steps.evidence import write_page

    opened = opened_at(project)
    with opened.writing():
        path = certify_request(opened, request)
        page = write_page(opened, request)
    trust = opened.root / "signer.pub.pem"
    say(f"certificate {path}")
    say(f"page {page}")
    say(f"check it: expunge check {path} --trust {trust} --log {opened.log_folder}")
    if json:
        data(
            {
                "certificate": str(path),
                "proof": str(path.with_name(PROOF)),
                "page": str(page),
                "log": str(opened.log_folder),
            }
        )
