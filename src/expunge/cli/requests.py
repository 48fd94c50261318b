"""Who asked to leave, and until when to answer."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say, table

if TYPE_CHECKING:
    from datetime import datetime


app = typer.Typer()


@app.command()
def request(
    dataset: Annotated[
        str | None, typer.Option(help="Only this dataset; default: every one that holds the people.")
    ] = None,
    subjects_file: Annotated[
        str | None,
        typer.Option(
            help="A file with one person a line (.jsonl: a JSON string, or an object of identities by kind), or - for standard "
            "input, which is the default."
        ),
    ] = None,
    records_file: Annotated[
        str | None,
        typer.Option(
            help="In place of people: a file with ids of records of --dataset, one a line (.jsonl: a JSON string), or - for "
            "standard input. The records are erased, and their people stay."
        ),
    ] = None,
    received: Annotated[
        str | None, typer.Option(help="When it was received, as 2026-11-30 or 2026-11-30T09:00:00+01:00; default: now.")
    ] = None,
    regulation: Annotated[
        str | None, typer.Option(help="gdpr, uk_gdpr or ccpa; default: that of [clock] in expunge.toml, else gdpr.")
    ] = None,
    identity_pending: Annotated[
        bool, typer.Option("--identity-pending", help="Who asks is not identified yet; see `expunge identity`.")
    ] = False,
    identity_method: Annotated[
        str | None, typer.Option(help="How who asks was identified; default: by the operator.")
    ] = None,
    entered_by: Annotated[
        str | None, typer.Option("--as", help="Who enters the request; somebody else has to approve it then.")
    ] = None,
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Record that people, or single records, are to be forgotten. Whom and which comes from a file or standard input, never from
    arguments.

    Who is found nowhere, and who has an open request already, is counted and stops nobody else.

    Try: [bold]echo "Ada Lind" | expunge request --subjects-file -[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.inputs.identities import read_identities
    from expunge.workflow.project.project import law_of

    opened = opened_at(project)
    if identity_pending and (identity_method or records_file):
        raise InvalidParameter("--identity-pending goes without --identity-method, and names people, not records")
    if records_file is not None:
        _request_records(opened, dataset, subjects_file, records_file, received, regulation, json)
        return
    identities = read_identities(subjects_file or "-")
    law = law_of(regulation) if regulation else opened.regulation
    since = _moment(received, opened.calendar.zone) if received else None
    with opened.writing():
        made = opened.ledger.open_request(
            dataset,
            identities.people,
            since,
            regulation=law,
            calendar=opened.calendar,
            identified=None if identity_pending else identity_method or "operator",
            by=entered_by,
        )
    if identity_pending:
        say(f"request {made.id}: {identities.lines} line(s), due {made.due_at}")
        say(
            f"nothing is told of whom it finds before who asks is identified: expunge identity {made.id} verified --method …"
        )
        if json:
            data({"request": made.id, "state": made.state.value, "lines": identities.lines, "due_at": made.due_at})
        return
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


def _request_records(
    opened: Any,
    dataset: str | None,
    subjects_file: str | None,
    records_file: str,
    received: str | None,
    regulation: str | None,
    json: bool,
) -> None:
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.inputs.identities import read_record_ids
    from expunge.workflow.project.project import law_of
    from expunge.workflow.steps.datasets import request_records

    if dataset is None or subjects_file is not None:
        raise InvalidParameter(
            "--records-file needs --dataset, for ids name records of one dataset, and goes without --subjects-file"
        )
    ids = read_record_ids(records_file)
    law = law_of(regulation) if regulation else opened.regulation
    since = _moment(received, opened.calendar.zone) if received else None
    with opened.writing():
        made = request_records(opened, dataset, ids, since, law)
    outcome = opened.ledger.events(made.id)[0].detail
    say(f"request {made.id}: {len(ids)} id(s), {made.n_records} record(s) of '{dataset}', due {made.due_at}")
    if outcome["no_match"]:
        say(f"no match: {outcome['no_match']} (searched: {dataset})")
    if outcome["duplicate"]:
        say(f"duplicate: {outcome['duplicate']}, of {', '.join(outcome['duplicate_of'])}")
    if json:
        data(
            {
                "request": made.id,
                "state": made.state.value,
                "lines": len(ids),
                "records": made.n_records,
                "datasets": [dataset],
                **{key: outcome[key] for key in ("no_match", "duplicate", "duplicate_of", "searched")},
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
    from expunge.workflow.steps.datasets import unrecorded
    from expunge.workflow.steps.standing import notices

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
            "people": _whom(one),
        }
        for one in found
    ]
    if rows:
        table("requests, the one due first at the front", rows)
    else:
        say("nobody has asked for anything")
    for sentence in (notes := [] if request else unrecorded(opened)):
        say(("note", "yellow"), f": {sentence}")
    events = [{"at": e.at, "event": e.kind} for e in opened.ledger.events(request)] if request else []
    if events:
        table("what happened", events)
    standing = notices(opened, request) if request else []
    for sentence in standing:
        say(sentence)
    if json:
        data({"requests": rows, "events": events, "notes": notes, "standing": standing})


def _whom(request: Any) -> str:
    """How many people a request is about, or records; nobody is told before who asks is identified."""
    if request.state.value == "identity_pending":
        return "–"
    return f"{request.n_records} records" if request.n_records else str(len(request.subjects))


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
