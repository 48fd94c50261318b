"""The one spelling under which a person is looked up."""

from collections.abc import Iterable
from unicodedata import normalize


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
