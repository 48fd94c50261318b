from datetime import UTC, datetime, timedelta, timezone

import pytest

from expunge.core.errors import InvalidParameter
from expunge.ledger.clock import iso


def test_other_time_zones_are_converted() -> None:
    east = timezone(timedelta(hours=5))
    assert iso(datetime(2026, 3, 1, 2, tzinfo=east)) == "2026-02-28T21:00:00Z"
    assert iso(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00Z"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no time zone"):
        iso(datetime(2026, 3, 1))
