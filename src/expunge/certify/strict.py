"""Read JSON and base64 in exactly one way, so that two readers can never see two things in the same bytes."""

import base64
import binascii
import json
from typing import Any

from expunge.core.errors import InvalidCertificate


def read_json(data: bytes, what: str) -> Any:
    """Parse UTF-8 JSON; refuse what parsers disagree on: duplicate keys, NaN, deep nesting.

    >>> read_json(b'{"a": [1, null]}', "the example")
    {'a': [1, None]}
    >>> read_json(b'{"a": 1, "a": 2}', "the example")
    Traceback (most recent call last):
    expunge.core.errors.InvalidCertificate: the example is not readable JSON: the key 'a' appears twice
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
        # Refuses what Python reads but JSON has no word for: NaN, 1e999, half a surrogate pair.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
        return value
    except (ValueError, RecursionError) as e:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InvalidCertificate(f"{what} is not readable JSON: {e}") from e


def read_base64(text: str, what: str) -> bytes:
    """Decode standard base64; only the one spelling that an encoder would write is accepted.

    >>> read_base64("TQ==", "the example")
    b'M'
    >>> read_base64("TR==", "the example")  # the same byte, with stray bits behind it
    Traceback (most recent call last):
    expunge.core.errors.InvalidCertificate: the example is not canonical base64
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise InvalidCertificate(f"{what} is not base64: {e}") from e
    if write_base64(data) != text:
        raise InvalidCertificate(f"{what} is not canonical base64")
    return data


def write_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} appears twice")
        seen[key] = value
    return seen
