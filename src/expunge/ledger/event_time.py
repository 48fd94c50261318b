"""When something happened, as the ledger keeps it: never before what happened before it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from expunge.ledger.clock import iso, now
from expunge.ledger.tables import RequestEventRow


def event_time(session: Session) -> str:
    """The time of what is recorded now: the present, or the last event of the project where the clock went back since.

    A clock that once ran ahead is caught up with by and by; until then what happens stands at that time, in its order.
    """
    last = session.scalar(select(func.max(RequestEventRow.at)))
    return max(iso(now()), last or "")
