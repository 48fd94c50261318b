"""Times as UTC ISO strings."""

from datetime import UTC, datetime

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
