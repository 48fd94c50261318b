"""What holds something of a request, and what is to become of it."""

from typing import Annotated

import typer

from expunge.cli.options import HERE, AsJson, Req, Where, opened_at
from expunge.cli.show import data, say, table

app = typer.Typer()


@app.command()
def plan(request: Req, project: Where = HERE, json: AsJson = False) -> None:
    """Everything that holds or may hold something, what is decided about it, and by which route it would be dealt with, at
    what cost. Changes nothing.

    Try: [bold]expunge plan req-0123456789[/]
    """
    from dataclasses import asdict

    from expunge.workflow.steps.batch import batched
    from expunge.workflow.steps.datasets import unrecorded
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
    for sentence in (notes := unrecorded(opened, opened.ledger.get_request(request).datasets)):
        say(("note", "yellow"), f": {sentence}")
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
        data({"request": request, "targets": targets, "batch": waits or None, "notes": notes})


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
    from expunge.workflow.steps.targets import decide_target

    opened = opened_at(project)
    if decision not in list(Decision):
        raise InvalidParameter(f"'{decision}' is no decision; decide one of {', '.join(Decision)}")
    with opened.writing():
        detail = {"until": until, "reason": reason, "article": article, "owner": owner}
        decided = decide_target(opened, request, target, Decision(decision), detail)
    say(f"{decided.name}: {decided.sentence}")
    if json:
        data({"target": decided.name, "decision": decided.decision.value, **decided.detail, "ended": decided.ended})


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
