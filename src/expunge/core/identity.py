"""The one spelling under which a person is looked up."""

from collections.abc import Iterable
from typing import Any
from unicodedata import category, normalize

from expunge.core.errors import InvalidData

_MISSING = ("None", "nan", "NaN", "NaT", "<NA>")  # how values that stand for none are written


def identity_of(name: Any) -> str:
    """Whom a name in a column of data, or in a request, is: text or a number, in its one spelling.

    Raises: InvalidData, for what names nobody: None, NaN, an empty text or spaces.

    >>> identity_of(" Ann "), identity_of(7)
    ('Ann', '7')
    >>> identity_of(float("nan"))
    Traceback (most recent call last):
        ...
    expunge.core.errors.InvalidData: nan names nobody; give every record the name of its subject, as text or a number
    """
    identity = "" if is_missing(name) else canonical_identity(f"{name}")
    if not identity:
        raise InvalidData(f"{name!r} names nobody; give every record the name of its subject, as text or a number")
    return identity


def is_missing(value: Any) -> bool:
    """Whether a value stands for none, as data frames and databases have it; a text is never one.

    >>> [is_missing(value) for value in (None, float("nan"), "nan", 0)]
    [True, True, False, False]
    """
    return not isinstance(value, str) and f"{value}" in _MISSING


def canonical_identity(identity: str) -> str:
    """Unicode NFC without surrounding white space; letter case is kept.

    Case is not folded: the local part of an e-mail address, a customer number or a user name may differ by
    case alone, and merging two people would erase one of them unasked.

    >>> canonical_identity("  Zoe\\u0308 ") == "Zo\\u00eb"
    True
    >>> canonical_identity("U-17") == canonical_identity("u-17")
    False
    """
    return normalize("NFC", identity).strip()


def unwritable_in(text: str) -> str | None:
    """The first character that cannot stand in a line of a list: a control character, or an end of line or paragraph.

    >>> unwritable_in("Ada Lind"), unwritable_in("Ada\x85Lind"), unwritable_in("Ada\u2028Lind")
    (None, 'U+0085', 'U+2028')
    """
    if text.isprintable():  # nothing of these categories; most names end here
        return None
    found = (c for c in text if category(c) in ("Cc", "Zl", "Zp"))
    return next((f"U+{ord(c):04X}" for c in found), None)


def near_names(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """Those of the other names that are a name asked for but for letter case, spaces or the form of letters.

    They may be the same person written in another way, or somebody else: people have to decide, so they are counted.

    >>> near_names(["Ann Lee"], ["ann  lee", "Ann Lee", "Anna Lee"])
    {'ann  lee'}
    """
    names = set(names)
    loose = {_loosely(name) for name in names}
    return {name for name in others if name not in names and _loosely(name) in loose}


def _loosely(name: str) -> str:
    return " ".join(normalize("NFKC", name).casefold().split())
