"""What becomes of a request besides its steps: identified, approved, held, denied, taken back."""

from typing import Annotated, Any

import typer

from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say

app = typer.Typer()


@app.command()
def identity(
    request: Req,
    outcome: Annotated[str, typer.Argument(help="verified or failed.")],
    method: Annotated[
        str, typer.Option(help="How, without naming the person: 'signed in', 'answered the code by post'.")
    ],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Who asks was identified, or could not be. Who is found, and who has an open request already, is told from now on.

    Try: [bold]expunge identity req-0123456789 verified --method "signed in"[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.ledger import DenialReason, Verb

    opened = opened_at(project)
    if outcome not in ("verified", "failed"):
        raise InvalidParameter(f"'{outcome}' is neither 'verified' nor 'failed'")
    with opened.writing():
        opened.ledger.require(request, Verb.IDENTIFY)
        if outcome == "failed":
            made = opened.ledger.deny_request(request, DenialReason.INSUFFICIENT_VERIFICATION, method)
        else:
            made = opened.ledger.identify_request(request, method, opened.calendar, pauses=opened.clock_pauses)
    say(f"{request}: {made.state.value.replace('_', ' ')}, due {made.due_at}")
    found: dict[str, Any] = next((e.detail for e in opened.ledger.events(request) if e.kind == "identified"), {})
    if found:
        say(f"{found['n_people']} found, {found['no_match']} nowhere, {found['duplicate']} asked for already")
    if json:
        counts = {key: found[key] for key in ("n_people", "no_match", "duplicate", "duplicate_of") if key in found}
        data({"request": request, "state": made.state.value, "due_at": made.due_at, **counts})


@app.command()
def approve(
    request: Req,
    who: Annotated[str, typer.Option("--as", help="Your name; it stays in the ledger, and is on no certificate.")],
    destroy: Annotated[str, typer.Option(help="Approve that this model is destroyed, by its name in the plan.")] = "",
    route: Annotated[str, typer.Option(help="Approve this route in place of the strongest.")] = "",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Agree to the present plan, where `[approval]` in expunge.toml wants several people to. Another plan needs it anew.

    Try: [bold]expunge approve req-0123456789 --as "M. Berg"[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.workflow.steps.approval import approve_request, by_destroying, by_route, people_needed

    opened = opened_at(project)
    if destroy and route:
        raise InvalidParameter("a model is destroyed, or forgotten from by a route; approve one at a time")
    with opened.writing():
        agreed = approve_request(opened, request, who, by_destroying(destroy) if destroy else by_route(route))
    say(f"{request}: {len(agreed)} of {people_needed(opened)} people agreed to this plan")
    if json:
        data({"request": request, "approved_by": list(agreed), "needed": people_needed(opened)})


@app.command()
def hold(
    request: Req,
    reason: Annotated[str, typer.Option(help="Why it must be kept, without naming the person.")],
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Put a request under a legal hold: nothing of it is carried out while that stands. No clock waits for it.

    Try: [bold]expunge hold req-0123456789 --reason "evidence in case 7 C 12/26"[/]
    """
    opened = opened_at(project)
    with opened.writing():
        made = opened.ledger.hold_request(request, reason)
    say(f"{request} is under a legal hold; it is due {made.due_at} all the same, and the person must be told")
    if json:
        data({"request": request, "state": made.state.value})


@app.command()
def release(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """End the legal hold of a request, which goes on from where it stood.

    Try: [bold]expunge release req-0123456789[/]
    """
    opened = opened_at(project)
    with opened.writing():
        made = opened.ledger.release_request(request)
    say(f"{request}: {made.state.value.replace('_', ' ')}, due {made.due_at}")
    if json:
        data({"request": request, "state": made.state.value})


@app.command()
def deny(
    request: Req,
    reason: Annotated[
        str,
        typer.Option(
            help="suspected_fraud, insuf_verification, claim_not_covered, outside_jurisdiction, too_many_requests, or other."
        ),
    ],
    note: Annotated[str, typer.Option(help="More of why, without naming the person; 'other' needs it.")] = "",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Refuse a request as a whole, before the point of no return. The person must be told why, and of their remedies.

    Try: [bold]expunge deny req-0123456789 --reason claim_not_covered --note "kept by tax law until 2030"[/]
    """
    from expunge.core.errors import InvalidParameter
    from expunge.ledger import DenialReason
    from expunge.workflow.steps.standing import notices

    opened = opened_at(project)
    if reason not in list(DenialReason):
        raise InvalidParameter(f"'{reason}' is no reason; give one of {', '.join(DenialReason)}")
    with opened.writing():
        made = opened.ledger.deny_request(request, DenialReason(reason), note)
    say(notices(opened, request)[-1])
    if json:
        data({"request": request, "state": made.state.value, "reason": reason})


@app.command()
def cancel(
    request: Req,
    note: Annotated[str, typer.Option(help="More about it, without naming the person.")] = "",
    project: Where = HERE,
    json: AsJson = False,
) -> None:
    """Who asked took the request back, before the point of no return.

    Try: [bold]expunge cancel req-0123456789[/]
    """
    opened = opened_at(project)
    with opened.writing():
        made = opened.ledger.cancel_request(request, note)
    say(f"{request} is cancelled; nothing of it was carried out")
    if json:
        data({"request": request, "state": made.state.value})
