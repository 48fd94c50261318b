"""What a reader of a request must know besides its steps: how who asks was identified, holds, denials, approvals, no return."""

from typing import Any

from expunge.ledger import DenialReason
from expunge.workflow.project.project import Project
from expunge.workflow.steps.approval import people_needed, plan_digest

REMEDIES = {
    True: "The person must be told why, and that they may complain to a supervisory authority and go to court (Art. 12(4)).",
    False: "The person must be told why (11 CCR § 7022).",
}


def notices(project: Project, request: str) -> list[str]:
    """Sentences, in the order in which things happened."""
    law = project.ledger.get_request(request).regulation
    found = []
    for event in project.ledger.events(request):
        detail = event.detail
        match event.kind:
            case "identified":
                found.append(
                    f"Who asks was identified at {_at(event.at)}, by {detail['method']}.{_clock(detail['clock'])}"
                )
            case "held":
                found.append(f"Under a legal hold since {_at(event.at)}: {detail['reason']}.")
            case "released":
                found.append(f"The legal hold ended at {_at(event.at)}.")
            case "denied":
                note = f" {detail['note'].rstrip('.')}." if detail["note"] else ""
                article = f" ({detail['article']})" if detail["article"] else ""
                reason = DenialReason(detail["reason"]).sentence.removesuffix(".")
                found.append(f"Denied at {_at(event.at)}: {reason}{article}.{note} {REMEDIES[law.months]}")
            case "cancelled":
                found.append(f"Who asked took the request back at {_at(event.at)}.")
            case "needs_attention":
                found.append(f"Stopped at {_at(event.at)} by {detail['fault']}; somebody has to look at it.")
    if since := project.ledger.no_return(request):
        found.append(f"The point of no return was passed at {_at(since)}: the records are entombed.")
    if (needed := people_needed(project)) and project.ledger.get_request(request).state.open:
        agreed = len(project.ledger.approvals(request, plan_digest(project, request)))
        found.append(f"{agreed} of {needed} people agreed to the present plan.")
    return found


def _at(moment: str) -> str:
    return moment.replace("T", " ").replace("Z", " UTC")


def _clock(clock: dict[str, Any]) -> str:
    if "since" in clock:
        return f" The period begins on {clock['since']}."
    if pauses := clock.get("pauses"):
        return f" The period stood still from {pauses[0][0]} to {pauses[0][1]}."
    return ""
