"""The steps of a request, in their order."""

import sys
from typing import Annotated, Any

import typer

from expunge.cli.edit_options import NOTHING_SAID, EditOptions, with_edit_options
from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say, working
from expunge.cli.verifying import verify

app = typer.Typer()
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Only this one, by its name in `expunge plan`; may be repeated.")
]
EXCEPTIONS = 3  # the exit code of a request that ended, or is certified, with something left


@app.command()
@with_edit_options
def forget(
    request: Req,
    target: Targets = None,
    route: Annotated[str | None, typer.Option(help="A route that `expunge plan` lists; default: the first.")] = None,
    method: Annotated[str | None, typer.Option(help="For route edit: an approximate method.")] = None,
    edit: EditOptions = NOTHING_SAID,
    rebuild: Annotated[
        str | None, typer.Option(help="For units of your own loop: FILE.py:FUNCTION that trains one.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Build the version without these people beside the old one, which is quarantined, of every model that is to be dealt with.
    Sizes are for route edit, as those of `expunge edit`.

    Try: [bold]expunge forget req-0123456789[/]
    """
    from expunge.workflow.steps.forget import forget_request

    opened = opened_at(project)
    options = {"method": method, "set": edit.set or None, "rebuild": rebuild, **edit.settings()}
    with opened.writing(), working("forget") as progress:
        made = forget_request(opened, request, progress, targets=target or (), route=route, options=options)
    for done in made:
        cost = "UNKNOWN" if done["cost"] is None else f"{done['cost']:.0%}"
        say(
            f"'{done['model']}': {done['route']} by {done['method']}, {done['n_removed']} records, cost {cost} of retraining; "
            f"the old version is quarantined. Next: expunge verify {request}"
        )
    if not made:
        say(f"no model in use learned from these people; their records are entombed. Next: expunge deliver {request}")
    if json:
        data({"request": request, "targets": made})


app.command()(verify)


@app.command()
def abandon(request: Req, target: Targets = None, project: Where = HERE, json: AsJson = False) -> None:
    """Give up what was forgotten and not delivered: the quarantined original serves again, and the request stays open.

    Try: [bold]expunge abandon req-0123456789[/]
    """
    from expunge.workflow.steps.forget import abandon_request

    opened = opened_at(project)
    with opened.writing():
        models = abandon_request(opened, request, target or ())
    say(f"{', '.join(models)}: the original serves again. {request} is open still: forget by another route, or decide")
    if json:
        data({"request": request, "models": models})


@app.command()
def destroy(
    request: Req,
    target: Annotated[str, typer.Argument(help="A model, by its name in `expunge plan`.")],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Destroy a whole model with what was made from it and their copies, where nothing less will do.

    Try: [bold]expunge destroy req-0123456789 model:assistant[/]
    """
    from expunge.workflow.steps.destroy import destroy_model

    opened = opened_at(project)
    with opened.writing():
        gone = destroy_model(opened, request, target)
    for one in gone:
        say(f"'{one['model']}' is destroyed; purged: {', '.join(one['purged']) or 'nothing was left'}")
        for uri in one["unreachable"]:
            say(("not reached", "yellow"), f": {uri}")
    say(f"next: expunge deliver {request}")
    if json:
        data({"request": request, "targets": gone})


@app.command()
def deliver(
    request: Req,
    released: Annotated[
        str | None,
        typer.Option(
            help="Old versions that left the house, by the beginning of their digest and by commas; or none, or unknown."
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(help="Deliver in spite of this flag; may be repeated, and the certificate shows it."),
    ] = None,
    target: Targets = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Switch to the new versions; purge the old ones, checkpoints, caches, attack by-products and reachable copies. When
    everything has ended, the people's keys are destroyed.

    Try: [bold]expunge deliver req-0123456789 --released none[/]
    """
    from expunge.workflow.steps.deliver import deliver_request

    opened = opened_at(project)
    versions = _released(released)
    with opened.writing():
        done = deliver_request(opened, request, released=versions, overrides=override or (), targets=target or ())
    for one in done["targets"]:
        say(f"'{one['model']}' serves the new version; purged: {', '.join(one['purged'])}")
    for one in done["left"]:
        say(("not ended", "yellow"), f": {one['target']}, {one['stands']}")
    if "n_records" in done:
        say(f"everything has ended: {done['n_subjects']} subject(s) and {done['n_records']} record(s) left the ledger")
        for name in opened.ledger.get_request(request).datasets:
            found = opened.ledger.dataset(name)
            if found.columns.id is None:
                say(
                    f"'{name}' has no id column: when its owner has taken the rows out of {found.source}, "
                    f"`expunge data follow {found.source} --name {name}`"
                )
    if json:
        data(done)


@app.command()
def certify(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Sign what was done and found, append its hash to the log, and write the page. Exit code 3: with exceptions.

    Try: [bold]expunge certify req-0123456789[/]
    """
    from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY
    from expunge.workflow.steps.certify import certify_request, proof_path
    from expunge.workflow.steps.evidence import write_page

    opened = opened_at(project)
    with opened.writing():
        path = certify_request(opened, request)
        page = write_page(opened, request)
    trust, log_key = opened.root / PUBLIC_KEY, opened.root / LOG_KEY
    say(f"certificate {path}")
    say(f"page {page}")
    say(f"check it: expunge check {path} --trust {trust} --log {opened.log_folder} --log-key {log_key}")
    left = _say_exceptions(opened, request)
    if json:
        data(
            {
                "certificate": str(path),
                "proof": str(proof_path(path)),
                "page": str(page),
                "log": str(opened.log_folder),
                "state": opened.ledger.get_request(request).state.value,
                "exceptions": left,
            }
        )
    raise typer.Exit(EXCEPTIONS if left else 0)


@app.command()
def run(
    request: Req,
    released: Annotated[
        str | None, typer.Option(help="As of `expunge deliver`; without it the request goes as far as delivery.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Carry a request from where it stands to where a person must decide. Exit code 3: certified with exceptions.

    Try: [bold]expunge run req-0123456789 --released none[/]
    """
    from expunge.workflow.steps.certify import newest_certificate
    from expunge.workflow.steps.evidence import write_page
    from expunge.workflow.steps.run import run_request

    opened = opened_at(project)
    with opened.writing(), working("run") as progress:
        ran = run_request(opened, request, progress, None if released is None else _released(released))
        page = write_page(opened, request) if "certify" in ran.steps else None
    if page:
        say(f"certificate {newest_certificate(opened, request)}")
        say(f"page {page}")
    say(f"{request}: {', '.join(ran.steps) or 'nothing was to be done'}{f'. Next: {ran.next}' if ran.next else ''}")
    left = _say_exceptions(opened, request) if "certify" in ran.steps else []
    if json:
        state = opened.ledger.get_request(request).state.value
        data({"request": request, "state": state, "steps": ran.steps, "next": ran.next or None, "exceptions": left})
    raise typer.Exit(EXCEPTIONS if left else 0)


def _released(said: str | None) -> tuple[str, ...]:
    """What left the house, as it was said or is asked for; nothing is assumed.

    Raises: InvalidParameter, where nobody is there to ask.
    """
    from expunge.core.errors import InvalidParameter

    if said is None:
        if not sys.stdin.isatty():
            raise InvalidParameter(
                "which old versions left the house? Say --released VERSION[,…], --released none or --released unknown: whoever "
                "has one can tell from it and the new one what was removed"
            )
        said = typer.prompt("Which old versions left the house (VERSION[,…], none, unknown)?")
    return () if said == "none" else tuple(filter(None, said.split(",")))


def _say_exceptions(opened: Any, request: str) -> list[str]:
    from expunge.workflow.steps.targets import exceptions, find_targets

    left = [f"{one.name} is {one.target.sentence}" for one in exceptions(find_targets(opened, request))]
    for sentence in left:
        say(("exception", "yellow"), f": {sentence}")
    return left
