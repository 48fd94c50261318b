from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from expunge.core.errors import InvalidParameter
from expunge.ledger.clock import due_at, due_day, iso


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (date(2026, 1, 31), date(2026, 3, 2)),  # 28 February 2026 is a Saturday
        (date(2028, 1, 31), date(2028, 2, 29)),
        (date(2026, 11, 21), date(2026, 12, 21)),
        (date(2026, 12, 31), date(2027, 2, 1)),  # 31 January 2027 is a Sunday
    ],
)
def test_one_month_by_regulation_1182_71(received: date, due: date) -> None:
    assert due_day(received) == due


def test_the_due_day_is_never_a_weekend_and_never_before_a_month() -> None:
    for n in range(800):
        received = date(2026, 1, 1) + timedelta(days=n)
        due = due_day(received)
        assert due.weekday() < 5
        assert timedelta(28) <= due - received <= timedelta(33)


def test_other_time_zones_are_converted() -> None:
    east = timezone(timedelta(hours=5))
    assert iso(datetime(2026, 3, 1, 2, tzinfo=east)) == "2026-02-28T21:00:00Z"
    assert due_at(datetime(2026, 3, 1, 2, tzinfo=east)) == "2026-03-30T23:59:59Z"
    assert iso(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no time zone"):
        iso(datetime(2026, 3, 1))
