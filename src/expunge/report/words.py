"""Numbers, dates and missing values in words. What is missing never turns into a blank, a zero or a pass."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

UNKNOWN = "UNKNOWN"
NOT_RUN = "not run"
NOT_MEASURED = "not measured"


def number(value: object) -> float | None:
    """A finite number, or None: NaN, infinity, text and booleans are not measurements.

    >>> number(2), number(float("nan")), number(True), number("3")
    (2.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def decimals(value: object, missing: str = UNKNOWN) -> str:
    """Two decimals.

    >>> decimals(0.2249), decimals(-0.001), decimals(None)
    ('0.22', '0.00', 'UNKNOWN')
    """
    known = number(value)
    return missing if known is None else f"{round(known, 2) + 0.0:.2f}".replace("-", "−")


def interval(low: object, high: object) -> str:
    """
    >>> interval(0.142, 0.31), interval(None, None)
    ('[0.14, 0.31]', '[UNKNOWN]')
    """
    if number(low) is None and number(high) is None:
        return f"[{UNKNOWN}]"
    return f"[{decimals(low)}, {decimals(high)}]"


def percent(value: object, missing: str = UNKNOWN, *, floor: bool = False) -> str:
    """One decimal at most; what is not nothing never reads as 0 %. `floor` keeps 0.8999 from reading as 90 %.

    >>> percent(0.055), percent(1.0), percent(0.0002), percent(0.89999, floor=True), percent(None)
    ('5.5 %', '100 %', '< 0.1 %', '89.9 %', 'UNKNOWN')
    """
    known = number(value)
    if known is None:
        return missing
    if 0 < known < 0.001:
        return "< 0.1 %"
    tenths = math.floor(known * 1000 + 1e-9) if floor else round(known * 1000)
    return f"{tenths / 10:.1f}".removesuffix(".0").replace("-", "−") + " %"


def seconds(value: object) -> str:
    """
    >>> seconds(5.14), seconds(61), seconds(7300), seconds(None)
    ('5.1 s', '61 s', '2 h 2 min', 'UNKNOWN')
    """
    known = number(value)
    if known is None:
        return UNKNOWN
    if known < 10:
        return f"{known:.1f} s"
    if known < 600:
        return f"{known:.0f} s"
    minutes = round(known / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def text(value: object, missing: str = UNKNOWN) -> str:
    """Anything that is to be read: a missing or empty value is named as such.

    >>> text(""), text(0), text(True), text({"copy": "hub", "at": None})
    ('UNKNOWN', '0', 'yes', 'copy: hub · at: UNKNOWN')
    """
    if value is None or value == "" or value == [] or value == {}:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else missing
    if isinstance(value, Mapping):
        return " · ".join(f"{k}: {text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text(v) for v in value)
    return str(value)


def moment(value: object) -> str:
    """A time stamp, with the letters that only machines need taken out.

    >>> moment("2026-03-01T09:30:00Z"), moment("2026-03-01T09:30:00.123456+00:00"), moment(None)
    ('2026-03-01 09:30:00 UTC', '2026-03-01 09:30:00 UTC', 'UNKNOWN')
    """
    if not isinstance(value, str) or not value:
        return UNKNOWN
    for utc in ("Z", "+00:00"):
        if value.endswith(utc) and value[10:11] == "T":
            return f"{value[:10]} {value[11:].removesuffix(utc).partition('.')[0]} UTC"
    return value


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: an absent part is then unknown throughout."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def plural(n: int, one: str, many: str = "") -> str:
    """
    >>> plural(1, "copy", "copies"), plural(2, "copy", "copies"), plural(0, "method")
    ('1 copy', '2 copies', '0 methods')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
