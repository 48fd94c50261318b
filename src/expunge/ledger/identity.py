"""The one spelling under which a person is looked up."""

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
