"""Times in a certificate: RFC 3339 in UTC, to the second, and in the order in which things happen."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from expunge.core.errors import InvalidCertificate

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-]00:00)")
STEPS = ("forgotten", "verified", "delivered")


def check_times(predicate: Mapping[str, Any]) -> None:
    """Raises: InvalidCertificate, naming the first time that is malformed or before the one that it must follow.

    >>> check_times({"request": {"received": "2026-01-31T09:00:00Z"}, "issuedAt": "2016-01-31T09:00:00Z"})
    Traceback (most recent call last):
    expunge.core.errors.InvalidCertificate: issuedAt, 2016-01-31T09:00:00Z, is before request.received, 2026-01-31T09:00:00Z; ...
    """
    steps = predicate.get("times", {})
    if not isinstance(steps, dict):
        raise InvalidCertificate("the predicate's 'times' must be an object")
    named = [
        ("request.received", predicate["request"].get("received")),
        *((f"times.{step}", steps.get(step)) for step in STEPS),
        ("issuedAt", predicate["issuedAt"]),
    ]
    before: tuple[str, str, datetime] | None = None
    for name, text in named:
        if text is None:
            continue
        moment = _read(name, text)
        if before is not None and moment < before[2]:
            raise InvalidCertificate(
                f"{name}, {text}, is before {before[0]}, {before[1]}; a clock was wrong, or one of the times is"
            )
        before = (name, text, moment)


def _read(name: str, text: Any) -> datetime:
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    raise InvalidCertificate(f"{name} must be an RFC 3339 time in UTC such as 2026-01-31T09:00:00Z, got {text!r}")
