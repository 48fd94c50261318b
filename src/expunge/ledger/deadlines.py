"""When a request must be acknowledged and answered, by the law that it is made under.

GDPR: one month from receipt, which may be extended by two more where the person is told within the first (Art. 12(3)). Months
are counted by Regulation (EEC, Euratom) No 1182/71, Art. 3: the period ends with the day of the same number, or the last day of
a shorter month; where that is a Saturday, a Sunday or a public holiday, with the next working day. Art. 3(4) moves the end of
the whole period, so an extended one is counted from the receipt anew.

CCPA: confirmed within 10 business days, answered within 45 calendar days, once extended by 45 more with notice; the days run
from receipt, however long it takes to verify who asks (Cal. Code Regs. tit. 11, § 7021; Cal. Civ. Code § 1798.130(a)(2)). A day
on which a period of calendar days ends is not moved, so that it is never shown later than the law has it.

What is a public holiday depends on the place, and is given. A pause, where a law and a project's counsel know one (GDPR, while
an answer is awaited to who asks), moves the end by the days that it lasted. "Without undue delay" comes before all of these.
"""

from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from expunge.core.errors import InvalidParameter

AT_RISK_DAYS = 7  # before the due day


class Regulation(StrEnum):
    """The law that a request is made under."""

    GDPR = "gdpr"
    UK_GDPR = "uk_gdpr"
    CCPA = "ccpa"

    @property
    def months(self) -> bool:
        """Whether its period is of months; else it is of days."""
        return self is not Regulation.CCPA


@dataclass(frozen=True)
class Calendar:
    """The public holidays of a place, and the zone in which its days begin and end.

    Raises: InvalidParameter, for a zone that nobody knows.
    """

    holidays: frozenset[date] = frozenset()
    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as e:
            raise InvalidParameter(f"'{self.zone}' is no time zone; write one as Europe/Berlin") from e

    @classmethod
    def of(cls, holidays: Collection[str] = (), zone: str = "UTC") -> "Calendar":
        """From text. Raises: InvalidParameter."""
        try:
            return cls(frozenset(date.fromisoformat(day) for day in holidays), zone)
        except (TypeError, ValueError) as e:
            raise InvalidParameter(f"a holiday is a date as 2027-01-01 ({e})") from e

    def is_working(self, day: date) -> bool:
        return day.weekday() < 5 and day not in self.holidays

    def next_working(self, day: date) -> date:
        """This day, or the first working day after it."""
        while not self.is_working(day):
            day += timedelta(days=1)
        return day

    def working_days_after(self, day: date, n: int) -> date:
        """The n-th working day after this one, which is not counted."""
        for _ in range(n):
            day = self.next_working(day + timedelta(days=1))
        return day

    def day_of(self, moment: datetime) -> date:
        """The day of a moment at the place."""
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def end_of(self, day: date) -> datetime:
        """The last second of a day at the place, in UTC."""
        return datetime.combine(day, time(23, 59, 59), ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True)
class Deadlines:
    """The days of one request. `pauses` are days from which and until which the period stood still; one may be open (None)."""

    received: date
    regulation: Regulation = Regulation.GDPR
    calendar: Calendar = Calendar()
    extended: bool = False
    pauses: tuple[tuple[date, date | None], ...] = ()

    @property
    def acknowledge_by(self) -> date | None:
        """Until when the receipt must be confirmed; None where the law sets no such day."""
        if self.regulation.months:
            return None
        return self.calendar.working_days_after(self.received, 10)

    @property
    def due(self) -> date:
        """The last day on which the request can be answered in time."""
        return self._end(extended=self.extended)

    @property
    def tell_by(self) -> date:
        """Until when the person must be told, with reasons, that more time is taken: the end of the period without it."""
        return self._end(extended=False)

    @property
    def latest(self) -> date:
        """The last day that an extension can reach."""
        return self._end(extended=True)

    def overdue(self, today: date) -> bool:
        return today > self.due

    def at_risk(self, today: date) -> bool:
        """Whether the due day is near, and not past."""
        return self.due - timedelta(days=AT_RISK_DAYS) <= today <= self.due

    def check_extension(self, today: date) -> None:
        """Raises: InvalidParameter, where an extension comes too late, or is not the first."""
        if self.extended:
            raise InvalidParameter("a request is extended once; this one is already")
        if today > self.tell_by:
            raise InvalidParameter(
                f"an extension must be told to the person by {self.tell_by.isoformat()}; today is {today.isoformat()}"
            )

    def _end(self, *, extended: bool) -> date:
        # A day that two pauses cover stood still once.
        days = {day for since, until in self.pauses for day in range(since.toordinal(), (until or since).toordinal())}
        still = timedelta(days=len(days))
        if not self.regulation.months:
            return self.received + timedelta(days=90 if extended else 45) + still
        return self.calendar.next_working(_months_after(self.received, 3 if extended else 1) + still)


def _months_after(day: date, n: int) -> date:
    """The day of the same number n months later, or the last one of a shorter month.

    >>> _months_after(date(2027, 11, 30), 3)
    datetime.date(2028, 2, 29)
    """
    years, month = divmod(day.month - 1 + n, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
