"""Who agreed to a plan: where a project wants several people to, each agrees to one plan, and to no other."""

from expunge.core.errors import InvalidParameter
from expunge.ledger.lifecycle import Verb, require
from expunge.ledger.requests import append_event, events
from expunge.ledger.store import Store


def approve(store: Store, request: str, by: str, plan: str) -> None:
    """Somebody, an operator and no data subject, agrees to the plan of this digest. Once is enough.

    Raises: UnknownName; NotReady; InvalidParameter, without a name, or where it is the one who entered the request.
    """
    with store.database.write():
        require(store, request, Verb.APPROVE)
        if not _same(by):
            raise InvalidParameter("say who approves")
        if _same(by) == _same(_entered_by(store, request)):
            raise InvalidParameter(f"{request} was entered by the same person; somebody else has to approve it")
        if _same(by) not in map(_same, approvals(store, request, plan)):
            append_event(store, request, "approved", {"by": by.strip(), "plan": plan})


def approvals(store: Store, request: str, plan: str) -> tuple[str, ...]:
    """Who agreed to a plan, in their order. Raises: UnknownName."""
    return tuple(
        event.detail["by"]
        for event in events(store, request)
        if event.kind == "approved" and event.detail["plan"] == plan
    )


def _entered_by(store: Store, request: str) -> str:
    return str(events(store, request)[0].detail.get("by", ""))


def _same(name: str) -> str:
    """Names that differ by case or spaces alone are one person."""
    return " ".join(name.casefold().split())
