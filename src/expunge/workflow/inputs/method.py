"""A method of an edit as it is named in a command: by its name, with parameters as words."""

import ast
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from expunge.approximate import methods
from expunge.core.errors import InvalidParameter


def method_of(name: str, parameters: Sequence[str] = ()) -> Any:
    """A method by its name with parameters as words, each "key=value"; one that takes a method takes its name.

    Raises: UnknownMethod; InvalidParameter, for a parameter that does not exist or a value of another kind.

    >>> method_of("npo", ["beta=0.5"]).beta
    0.5
    """
    chosen = methods.get(name)
    known = {f.name: f for f in fields(chosen) if f.init}
    values = {}
    for one in parameters:
        key, equals, value = one.partition("=")
        if not equals or key not in known:
            raise InvalidParameter(f"no parameter '{key}' of {name}; it has {', '.join(known) or 'none'} (key=value)")
        default = known[key].default
        factory: Any = known[key].default_factory
        values[key] = _value(key, value, factory() if default is MISSING and factory is not MISSING else default)
    return chosen(**values)


def _value(key: str, value: str, default: Any) -> Any:
    """A word as the kind of value that a parameter has."""
    if isinstance(default, str):
        return value
    if hasattr(default, "guarantee"):
        return method_of(value)
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise InvalidParameter(f"{key} is true or false, got '{value}'")
        return value.lower() == "true"
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        found = value
    if isinstance(default, int | float):
        if isinstance(found, bool) or not isinstance(found, int | float) or (isinstance(default, int) and found % 1):
            raise InvalidParameter(f"{key} is a {type(default).__name__}, got '{value}'")
        return type(default)(found)
    return found
