"""The steps of a request, in their order."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.edit_options import NOTHING_SAID, EditOptions, with_edit_options
from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say, table, working
from expunge.cli.verifying import verify

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer()
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="Only this one, by its name in `expunge plan`; may be repeated.")
]
EXCEPTIONS = 3  # the exit code of a request that ended, or is certified, with something left


@app.command()
def request(
    dataset: Annotated[
        str | None, typer.Option(help="Only this dataset; default: every one that holds the people.")
    ] = None,
    subjects_file: Annotated[
        str,
        typer.Option(
            help="A file with one person a line (.jsonl: a JSON string, or an object of identities by kind), or - for standard "
            "input."
        ),
    ] = "-",
    received: Annotated[
        str | None, typer.Option(help="When it was received, as 2026-11-30 or 2026-11-30T09:00:00+01:00; default: now.")
    ] = None,
    regulation: Annotated[
        str | None, typer.Option(help="gdpr, uk_gdpr or ccpa; default: that of [clock] in expunge.toml, else gdpr.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Record that people ask to be forgotten. Identities come from a file or standard input, never from arguments.

    Who is found nowhere, and who has an open request already, is counted and stops nobody else.

    Try: [bold]echo "Ada Lind" | expunge request --subjects-file -[/]
    """
    from expunge.workflow.inputs.identities import read_identities
    from expunge.workflow.project.project import law_of

    opened = opened_at(project)
    identities = read_identities(subjects_file)
    law = law_of(regulation) if regulation else opened.regulation
    since = _moment(received, opened.calendar.zone) if received else None
    with opened.writing():
        made = opened.ledger.open_request(dataset, identities.people, since, regulation=law, calendar=opened.calendar)
    outcome = opened.ledger.events(made.id)[0].detail
    say(
        f"request {made.id}: {identities.lines} line(s), {outcome['n_people']} found, {len(made.subjects)} subject(s) in "
        f"{len(made.datasets) if made.subjects else 0} dataset(s), due {made.due_at}"
    )
    if outcome["no_match"]:
        say(f"no match: {outcome['no_match']} (searched: {', '.join(outcome['searched'])})")
    if outcome["duplicate"]:
        say(f"duplicate: {outcome['duplicate']}, of {', '.join(outcome['duplicate_of'])}")
    if json:
        data(
            {
                "request": made.id,
                "state": made.state.value,
                "lines": identities.lines,
                "subjects": len(made.subjects),
                "datasets": list(made.datasets) if made.subjects else [],
                **{key: outcome[key] for key in ("n_people", "no_match", "duplicate", "duplicate_of", "searched")},
                "received_at": made.received_at,
                "due_at": made.due_at,
            }
        )


@app.command()
def extend(
    request: Req,
    reason: Annotated[
        str, typer.Option(help="Why more time is needed; the person must be told it within the first period.")
    ],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Take the further time that the law gives for a request, once.

    Try: [bold]expunge extend req-0123456789 --reason "many systems to search"[/]
    """
    opened = opened_at(project)
    with opened.writing():
        found = opened.ledger.extend_request(request, reason, opened.calendar)
    say(f"{request} is due {found.due_at} now; tell the person so, with the reason")
    if json:
        data({"request": request, "due_at": found.due_at})


@app.command()
def status(
    request: Annotated[str | None, typer.Argument(help="One request; default: all.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """What is due when, and where each request stands; of one request everything that happened.

    Try: [bold]expunge status[/]
    """
    from datetime import UTC, datetime

    from expunge.workflow.project.story import check_story

    opened = opened_at(project)
    check_story(opened)
    found = [opened.ledger.get_request(request)] if request else list(opened.ledger.requests())
    now = datetime.now(UTC)
    rows = [
        {
            "request": one.id,
            "state": one.state.value.replace("_", " "),
            "law": one.regulation.value,
            "received": one.received_at,
            "due": one.due_at,
            "days left": str((datetime.fromisoformat(one.due_at) - now).days) if one.state.open else "–",
            "people": str(len(one.subjects)),
        }
        for one in found
    ]
    if rows:
        table("requests, the one due first at the front", rows)
    else:
        say("nobody has asked for anything")
    events = [{"at": e.at, "event": e.kind} for e in opened.ledger.events(request)] if request else []
    if events:
        table("what happened", events)
    if json:
        data({"requests": rows, "events": events})


@app.command()
def plan(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Everything that holds or may hold something, what is decided about it, and by which route it would be dealt with, at
    what cost. Changes nothing.

    Try: [bold]expunge plan req-0123456789[/]
    """
    from dataclasses import asdict

    from expunge.workflow.steps.batch import batched
    from expunge.workflow.steps.forget import plan_request

    opened = opened_at(project)
    found = plan_request(opened, request)
    rows = [
        {"target": one.held.name, "holds": one.held.words, "stands": one.waits or one.held.target.sentence}
        for one in found
    ]
    routes = [
        {
            "model": one.held.target.of,
            "route": p.route.value,
            "guarantee": p.promise.guarantee.value,
            "units": ", ".join(f"{u.id} from slice {u.first_slice}" for u in p.units),
            "cost vs retraining": "UNKNOWN" if p.cost is None else f"{p.cost:.0%}",
            "notes": "; ".join(p.notes),
        }
        for one in found
        for p in one.plans
    ]
    if rows:
        table(f"{request}: targets", rows)
    else:
        say("nothing here holds anything of this request")
    if routes:
        table("routes, strongest first", routes)
    elif rows and not any(one.held.target.kind == "model" for one in found):
        say("no model in use learned from these people, or may have")
    if waits := batched(opened, opened.ledger.get_request(request)):
        say(waits)
    if json:
        targets = [
            {
                "target": one.held.name,
                "n_records": one.held.n_records,
                "holds": one.held.words,
                "decision": one.held.target.decision.value,
                "detail": one.held.target.detail,
                "done": one.held.target.done,
                "ended": one.held.target.ended,
                "waits": one.waits or None,
                "version": one.version,
                "plans": [asdict(p) for p in one.plans],
            }
            for one in found
        ]
        data({"request": request, "targets": targets, "batch": waits or None})


@app.command()
def decide(
    request: Req,
    target: Annotated[str, typer.Argument(help="A target, by its name in `expunge plan`.")],
    decision: Annotated[str, typer.Argument(help="do, defer, exempt, refused or unreachable.")],
    until: Annotated[str | None, typer.Option(help="Until when, as 2027-01-31.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, without naming the person.")] = None,
    article: Annotated[str | None, typer.Option(help="The article of an exemption, such as '17(3)(b)'.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who will deal with what cannot be reached from here.")] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Decide what is to become of a target that is not simply to be done. The certificate shows it.

    Try: [bold]expunge decide req-0123456789 copy:1 unreachable --reason "on a partner's server" --owner ops --until 2027-01-31[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.ledger import Decision
    from expunge.workflow.steps.targets import find_targets, named

    opened = opened_at(project)
    if decision not in list(Decision):
        raise InvalidParameter(f"'{decision}' is no decision; decide one of {', '.join(Decision)}")
    with opened.writing():
        (held,) = named(find_targets(opened, request), [target])
        detail = {"until": until, "reason": reason, "article": article, "owner": owner}
        decided = opened.ledger.decide(request, held.name, Decision(decision), detail)
    say(f"{decided.name}: {decided.sentence}")
    if json:
        data({"target": decided.name, "decision": decided.decision.value, **decided.detail, "ended": decided.ended})


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


@app.command()
def reopen(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Open a finished request again where a model in use still holds what it was about; nobody need be named.

    Try: [bold]expunge reopen req-0123456789[/]
    """
    from expunge.workflow.steps.reopen import reopen_request

    opened = opened_at(project)
    with opened.writing():
        held = reopen_request(opened, request)
    for one in held:
        say(f"{one.name}: {one.words}")
    say(f"next: expunge plan {request}, then expunge run {request}")
    if json:
        data({"request": request, "targets": [{"target": one.name, "n_records": one.n_records} for one in held]})


def _moment(text: str, zone: str) -> "datetime":
    """Raises: InvalidParameter."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from expunge.core.errors import InvalidParameter

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise InvalidParameter(
            f"--received {text} is no date; write it as 2026-11-30 or 2026-11-30T09:00:00+01:00"
        ) from e
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


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
