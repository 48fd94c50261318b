"""Values as the database gives them back."""

import json
from collections.abc import Mapping
from typing import Any

from expunge.core.errors import InvalidParameter


def plain_json(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A JSON object as it will be read again, so that what was just recorded equals what is read later.

    Raises: InvalidParameter, if it is not JSON.

    >>> plain_json({"sizes": (1, 2)})
    {'sizes': [1, 2]}
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(value or {}), allow_nan=False))
    except (TypeError, ValueError) as e:
        raise InvalidParameter(f"this cannot be recorded as JSON ({e}); use text, finite numbers, lists") from e
    return plain
