"""Due dates of both laws, each worked out by hand from the sources named in `expunge.ledger.deadlines`."""

from datetime import UTC, date, datetime, timedelta

import pytest

from expunge.core.errors import InvalidParameter
from expunge.ledger.deadlines import Calendar, Deadlines, Regulation

# Public holidays of Berlin around these dates, and of California's state courts where a business day is counted.
BERLIN = Calendar.of(
    [
        *("2026-01-01", "2026-03-08", "2026-04-03", "2026-04-06", "2026-05-01", "2026-05-14", "2026-05-25"),
        *("2026-10-03", "2026-12-25", "2026-12-26", "2027-01-01", "2027-03-08", "2027-03-26", "2027-03-29"),
        *(
            "2027-05-01",
            "2027-05-06",
            "2027-05-17",
            "2027-12-25",
            "2027-12-26",
            "2028-01-01",
            "2028-04-14",
            "2028-04-17",
        ),
    ],
    "Europe/Berlin",
)
CALIFORNIA = Calendar.of(
    [
        *(
            "2026-01-01",
            "2026-01-19",
            "2026-02-16",
            "2026-05-25",
            "2026-07-03",
            "2026-09-07",
            "2026-11-11",
            "2026-11-26",
        ),
        *("2026-12-25", "2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31", "2027-07-05"),
    ],
    "America/Los_Angeles",
)

# (received, due): the day of the same number in the next month, on a working day.
ONE_MONTH = [
    ("2026-01-05", "2026-02-05"),  # Thursday
    ("2026-03-16", "2026-04-16"),  # Thursday
    ("2026-06-01", "2026-07-01"),  # Wednesday
    ("2026-11-10", "2026-12-10"),  # Thursday
    ("2026-12-15", "2027-01-15"),  # over the year's end, Friday
    ("2027-02-10", "2027-03-10"),  # Wednesday
    # Shorter months: the last day of the month.
    ("2026-01-31", "2026-03-02"),  # 28 February is a Saturday, so Monday 2 March
    ("2026-01-30", "2026-03-02"),  # no 30 February: the 28th, a Saturday
    ("2026-01-29", "2026-03-02"),  # no 29 February in 2026: the 28th again
    ("2026-01-28", "2026-03-02"),  # 28 February itself, a Saturday
    ("2028-01-31", "2028-02-29"),  # a leap year: Tuesday 29 February
    ("2028-01-29", "2028-02-29"),  # the same-numbered day is there
    ("2028-01-30", "2028-02-29"),  # no 30th
    ("2027-01-31", "2027-03-01"),  # 28 February is a Sunday
    ("2026-03-31", "2026-04-30"),  # Thursday 30 April
    ("2026-05-31", "2026-06-30"),  # Tuesday
    ("2026-08-31", "2026-09-30"),  # Wednesday
    ("2026-10-31", "2026-11-30"),  # Monday
    ("2028-02-29", "2028-03-29"),  # from a leap day, Wednesday
    # Weekends.
    ("2026-01-07", "2026-02-09"),  # 7 February is a Saturday
    ("2026-01-08", "2026-02-09"),  # a Sunday
    ("2026-07-15", "2026-08-17"),  # a Saturday
    ("2026-10-22", "2026-11-23"),  # a Sunday
    ("2026-11-05", "2026-12-07"),  # 5 December is a Saturday
    # Public holidays of Berlin.
    ("2026-03-03", "2026-04-07"),  # 3 April is Good Friday, then the weekend and Easter Monday: Tuesday
    ("2026-03-06", "2026-04-07"),  # Easter Monday itself
    ("2026-04-01", "2026-05-04"),  # 1 May is a Friday and a holiday, then the weekend
    ("2026-04-14", "2026-05-15"),  # Ascension Day, a Thursday
    ("2026-04-25", "2026-05-26"),  # Whit Monday
    ("2026-11-25", "2026-12-28"),  # Friday 25 December, Saturday 26th, Sunday
    ("2026-11-26", "2026-12-28"),  # Saturday 26 December, a holiday too
    ("2026-12-01", "2027-01-04"),  # Friday 1 January, then the weekend
    ("2027-02-26", "2027-03-30"),  # Good Friday 26 March to Easter Monday 29 March
    ("2027-02-08", "2027-03-09"),  # 8 March is a holiday in Berlin, a Monday
    ("2027-04-06", "2027-05-07"),  # Ascension Day, Thursday 6 May
    ("2027-04-17", "2027-05-18"),  # Whit Monday 17 May
    ("2028-03-14", "2028-04-18"),  # Good Friday 14 April to Easter Monday 17 April
    ("2026-02-08", "2026-03-09"),  # 8 March 2026 is a Sunday and a holiday
]

# (received, due after an extension): three months from receipt in all.
EXTENDED = [
    ("2026-01-05", "2026-04-07"),  # 5 April is Easter Sunday; Monday is a holiday
    ("2026-02-10", "2026-05-11"),  # 10 May is a Sunday
    ("2026-06-01", "2026-09-01"),  # Tuesday
    ("2026-09-30", "2026-12-30"),  # Wednesday
    ("2026-11-30", "2027-03-01"),  # no 30 February: Sunday the 28th, so Monday 1 March
    ("2027-11-30", "2028-02-29"),  # the leap day, a Tuesday
    ("2026-10-01", "2027-01-04"),  # 1 January, Friday, then the weekend
    ("2026-01-31", "2026-04-30"),  # no 31 April
    ("2026-12-31", "2027-03-31"),  # Wednesday
    ("2026-02-28", "2026-05-28"),  # Thursday: counted from the receipt, not from the moved end of the first month
]

# (received, due): 45 calendar days, which end where they end.
FORTY_FIVE = [
    ("2026-01-01", "2026-02-15"),  # 30 left in January and 15, a Sunday, which is not moved
    ("2026-01-15", "2026-03-01"),  # 16 + 28 + 1
    ("2028-01-15", "2028-02-29"),  # a leap year: 16 + 29
    ("2026-02-28", "2026-04-14"),  # 31 + 14
    ("2026-06-16", "2026-07-31"),  # 14 + 31
    ("2026-11-17", "2027-01-01"),  # 13 + 31 + 1, a holiday, not moved
    ("2026-12-01", "2027-01-15"),  # 30 + 15
    ("2026-07-04", "2026-08-18"),  # 27 + 18
]
NINETY = [
    ("2026-01-01", "2026-04-01"),  # 30 + 28 + 31 + 1
    ("2028-01-01", "2028-03-31"),  # a leap year: 30 + 29 + 31
    ("2026-10-03", "2027-01-01"),  # 28 + 30 + 31 + 1
    ("2026-12-01", "2027-03-01"),  # 30 + 31 + 28 + 1
]
# (received, confirmed by): ten business days after it.
TEN_BUSINESS_DAYS = [
    ("2026-03-02", "2026-03-16"),  # a Monday: two weeks
    ("2026-03-06", "2026-03-20"),  # a Friday
    ("2026-03-07", "2026-03-20"),  # a Saturday: Monday is the first of ten
    ("2026-01-12", "2026-01-27"),  # Monday 19 January is a holiday
    ("2026-02-09", "2026-02-24"),  # Monday 16 February is a holiday
    ("2026-11-20", "2026-12-07"),  # Thursday 26 November is a holiday; the day after it is a business day
    ("2026-12-21", "2027-01-06"),  # 25 December and 1 January are holidays
    ("2027-06-28", "2027-07-13"),  # Monday 5 July, for Sunday the 4th
]


def day(text: str) -> date:
    return date.fromisoformat(text)


def test_there_are_at_least_sixty() -> None:
    assert sum(map(len, (ONE_MONTH, EXTENDED, FORTY_FIVE, NINETY, TEN_BUSINESS_DAYS, PAUSED, ZONES))) >= 60


@pytest.mark.parametrize(("received", "due"), ONE_MONTH)
def test_gdpr_one_month(received: str, due: str) -> None:
    assert Deadlines(day(received), calendar=BERLIN).due == day(due)


@pytest.mark.parametrize(("received", "due"), EXTENDED)
def test_gdpr_extended(received: str, due: str) -> None:
    extended = Deadlines(day(received), calendar=BERLIN, extended=True)
    assert extended.due == extended.latest == day(due)
    assert extended.tell_by == Deadlines(day(received), calendar=BERLIN).due


@pytest.mark.parametrize(("received", "due"), FORTY_FIVE)
def test_ccpa_forty_five_days(received: str, due: str) -> None:
    assert Deadlines(day(received), Regulation.CCPA, CALIFORNIA).due == day(due)


@pytest.mark.parametrize(("received", "due"), NINETY)
def test_ccpa_extended(received: str, due: str) -> None:
    assert Deadlines(day(received), Regulation.CCPA, CALIFORNIA, extended=True).due == day(due)


@pytest.mark.parametrize(("received", "by"), TEN_BUSINESS_DAYS)
def test_ccpa_confirmation(received: str, by: str) -> None:
    assert Deadlines(day(received), Regulation.CCPA, CALIFORNIA).acknowledge_by == day(by)
    assert Deadlines(day(received)).acknowledge_by is None


# (received, pauses, due): the days of a pause are added before a weekend or holiday moves the end.
PAUSED = [
    ("2026-06-01", [("2026-06-03", "2026-06-10")], "2026-07-08"),  # 1 July and 7 days, a Wednesday
    ("2026-06-01", [("2026-06-03", "2026-06-03")], "2026-07-01"),  # asked and answered on one day
    ("2026-01-31", [("2026-02-02", "2026-02-06")], "2026-03-04"),  # 28 February and 4 days, a Wednesday
    ("2026-11-20", [("2026-11-23", "2026-11-28")], "2026-12-28"),  # 20 December and 5 days: Friday the 25th, a holiday
    ("2026-06-01", [("2026-06-03", "2026-06-05"), ("2026-06-20", "2026-06-22")], "2026-07-06"),  # 5 July is a Sunday
    ("2026-06-01", [("2026-06-03", None)], "2026-07-01"),  # one that is open has added nothing yet
    ("2026-01-05", [("2026-01-07", "2026-01-12")], "2026-02-10"),  # Thursday 5 February and 5 days, a Tuesday
    ("2026-02-10", [("2026-02-12", "2026-02-16")], "2026-03-16"),  # 10 March and 4 days: Saturday the 14th
    (
        "2026-03-03",
        [("2026-03-04", "2026-03-05")],
        "2026-04-07",
    ),  # Good Friday 3 April and a day, then to Easter Monday
    ("2026-03-03", [("2026-03-04", "2026-03-11")], "2026-04-10"),  # Good Friday and 7 days: not from the moved end
    ("2026-04-01", [("2026-04-02", "2026-04-09")], "2026-05-08"),  # Friday 1 May and 7 days
    ("2026-04-14", [("2026-04-20", "2026-04-30")], "2026-05-26"),  # 14 May and 10 days: Sunday, then Whit Monday
    ("2026-05-31", [("2026-06-02", "2026-06-09")], "2026-07-07"),  # 30 June and 7 days, a Tuesday
    ("2026-11-25", [("2026-11-26", "2026-12-03")], "2027-01-04"),  # 25 December and 7 days: Friday 1 January
    ("2028-01-31", [("2028-02-01", "2028-02-15")], "2028-03-14"),  # a leap day, 29 February, and 14 days, a Tuesday
    ("2026-06-15", [("2026-06-28", "2026-07-06")], "2026-07-23"),  # 2 days of June and 6 of July: Thursday
    ("2026-08-31", [("2026-09-01", "2026-09-04"), ("2026-09-10", "2026-09-15")], "2026-10-08"),  # 30 September, 3 and 5
    ("2026-10-22", [("2026-10-23", "2026-10-24")], "2026-11-23"),  # Sunday 22 November and a day: Monday itself
    (
        "2026-06-01",
        [("2026-06-03", "2026-06-10"), ("2026-06-05", "2026-06-12")],
        "2026-07-10",
    ),  # 3 to 12 June: 9, not 14
    (
        "2026-06-01",
        [("2026-06-03", "2026-06-10"), ("2026-06-04", "2026-06-06")],
        "2026-07-08",
    ),  # one within the other: 7
]

# (received, pauses, due after an extension): three months from receipt, and the days of the pauses.
PAUSED_EXTENDED = [
    ("2026-06-01", [("2026-06-03", "2026-06-10")], "2026-09-08"),  # 1 September and 7 days, a Tuesday
    ("2026-11-30", [("2026-12-02", "2026-12-12")], "2027-03-10"),  # Sunday 28 February and 10 days, a Wednesday
    ("2026-09-30", [("2026-10-01", "2026-10-03")], "2027-01-04"),  # 30 December and 2 days: Friday 1 January
]


@pytest.mark.parametrize(("received", "pauses", "due"), PAUSED_EXTENDED)
def test_gdpr_paused_and_extended(received: str, pauses: list[tuple[str, str]], due: str) -> None:
    stood_still = tuple((day(since), day(until)) for since, until in pauses)
    extended = Deadlines(day(received), calendar=BERLIN, extended=True, pauses=stood_still)
    assert extended.due == day(due)
    assert Deadlines(day(received), calendar=BERLIN, extended=True).due <= extended.due


@pytest.mark.parametrize(("received", "pauses", "due"), PAUSED)
def test_gdpr_paused(received: str, pauses: list[tuple[str, str | None]], due: str) -> None:
    stood_still = tuple((day(since), day(until) if until else None) for since, until in pauses)
    assert Deadlines(day(received), calendar=BERLIN, pauses=stood_still).due == day(due)


# (moment in UTC, zone, the day of receipt there, the end of the due day in UTC)
ZONES = [
    ("2026-01-31T23:30:00", "Europe/Berlin", "2026-02-01", "2026-03-02T22:59:59"),  # half past midnight in Berlin
    (
        "2026-06-30T22:30:00",
        "Europe/Berlin",
        "2026-07-01",
        "2026-08-03T21:59:59",
    ),  # summer time; 1 August is a Saturday
    ("2026-03-01T05:00:00", "America/Los_Angeles", "2026-02-28", "2026-03-31T06:59:59"),  # the evening before
    ("2026-03-01T05:00:00", "UTC", "2026-03-01", "2026-04-01T23:59:59"),
]


@pytest.mark.parametrize(("moment", "zone", "received", "end"), ZONES)
def test_a_day_is_one_of_the_place(moment: str, zone: str, received: str, end: str) -> None:
    calendar = Calendar(zone=zone)
    there = calendar.day_of(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert there == day(received)
    due = Deadlines(there, calendar=calendar).due
    assert calendar.end_of(due).replace(tzinfo=None) == datetime.fromisoformat(end)


def test_what_is_near_is_at_risk_and_what_is_past_is_overdue() -> None:
    deadlines = Deadlines(day("2026-06-01"))
    days = ("2026-06-23", "2026-06-24", "2026-07-01", "2026-07-02")
    assert [(deadlines.at_risk(day(d)), deadlines.overdue(day(d))) for d in days] == [
        (False, False),
        (True, False),
        (True, False),
        (False, True),
    ]


def test_an_extension_comes_in_time_and_once() -> None:
    deadlines = Deadlines(day("2026-06-01"))
    deadlines.check_extension(day("2026-07-01"))
    with pytest.raises(InvalidParameter, match="told to the person by 2026-07-01"):
        deadlines.check_extension(day("2026-07-02"))
    with pytest.raises(InvalidParameter, match="extended once"):
        Deadlines(day("2026-06-01"), extended=True).check_extension(day("2026-06-02"))


@pytest.mark.parametrize(("holidays", "zone"), [(["Christmas"], "UTC"), ([], "Berlin"), ([], "../etc")])
def test_a_calendar_that_says_nothing_is_refused(holidays: list[str], zone: str) -> None:
    with pytest.raises(InvalidParameter):
        Calendar.of(holidays, zone)


def test_the_due_day_is_never_a_weekend_and_never_before_a_month() -> None:
    for n in range(800):
        received = day("2026-01-01") + timedelta(days=n)
        due = Deadlines(received).due
        assert due.weekday() < 5
        assert timedelta(28) <= due - received <= timedelta(33)
