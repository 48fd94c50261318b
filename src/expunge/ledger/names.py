"""What to say when a name is not on record."""

from collections.abc import Iterable
from difflib import get_close_matches

from expunge.core.errors import UnknownName


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, else all of them.

    >>> nearest("pepole", ["people", "orders"])
    "did you mean 'people'?"
    >>> nearest("x", [])
    'there are none yet'
    """
    names = sorted(known)
    if near := get_close_matches(name, names, n=1):
        return f"did you mean '{near[0]}'?"
    return f"available: {', '.join(names)}" if names else "there are none yet"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a dataset, model or request that is not recorded."""
    return UnknownName(f"no {kind} '{name}' is recorded; {nearest(name, known)}")
