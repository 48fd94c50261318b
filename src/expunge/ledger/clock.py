"""Times as UTC ISO strings, and the month within which an erasure must be answered."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

from expunge.core.errors import InvalidParameter


def iso(moment: datetime) -> str:
    """A moment in UTC, to the second.

    Raises: InvalidParameter, if the moment has no time zone.

    >>> iso(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00Z'
    """
    if moment.tzinfo is None:
        raise InvalidParameter(
            f"the time {moment.isoformat()} has no time zone; pass one, for example datetime.now(UTC)"
        )
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def due_day(received: date) -> date:
    """The last day of the month that GDPR Art. 12(3) gives.

    Source: Regulation (EEC, Euratom) No 1182/71, Art. 3: the same-numbered day of the next month, or the last
    day of a shorter one; a Saturday or Sunday moves to Monday. Public holidays differ by place and are not
    known here, so a period that ends on one is shown as ending earlier than the law requires, never later.

    >>> due_day(date(2026, 1, 31))  # 28 February is a Saturday
    datetime.date(2026, 3, 2)
    >>> due_day(date(2028, 1, 31))
    datetime.date(2028, 2, 29)
    >>> due_day(date(2026, 12, 15))
    datetime.date(2027, 1, 15)
    """
    year, month = (received.year + 1, 1) if received.month == 12 else (received.year, received.month + 1)
    day = date(year, month, min(received.day, monthrange(year, month)[1]))
    return day + timedelta(days={5: 2, 6: 1}.get(day.weekday(), 0))


def due_at(received: datetime) -> str:
    """The end of the last hour of the due day (Art. 3(2)), in UTC.

    >>> due_at(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-03-02T23:59:59Z'
    """
    return f"{due_day(received.astimezone(UTC).date()).isoformat()}T23:59:59Z"
