"""What a statement may not say of itself: a level that its own flags, replay or missing parts deny.

Whether the level follows from the findings is not recomputed here. A signer who contradicts itself is refused, whoever it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from expunge.core.assurance import Assurance, Flag

# The highest level beside each flag. DAMAGED stands beside EXACT, where a replay says that the skill was never there.
_HIGHEST = {
    Flag.RETAINED: Assurance.CLAIMED,
    Flag.EXPIRED: Assurance.CLAIMED,
    Flag.HIDDEN: Assurance.SUPPRESSED,
    Flag.PARTIAL: Assurance.SUPPRESSED,
    Flag.TAINTED: Assurance.CERTIFIED,
}


def highest_beside(flags: Iterable[str]) -> Assurance:
    """The highest level that a statement may name beside these flags.

    >>> highest_beside(["TAINTED", "HIDDEN"]).name
    'SUPPRESSED'
    """
    return min((_HIGHEST[Flag(flag)] for flag in flags if Flag(flag) in _HIGHEST), default=max(Assurance))


def contradiction(predicate: Mapping[str, Any], *, whole: bool) -> str | None:
    """The first contradiction in a predicate, in words, or None. `whole`: it is of a form that says how it was verified.

    >>> contradiction({"assurance": "EXACT", "flags": ["HIDDEN"], "actions": [{}], "replay": True}, whole=False)
    'assurance EXACT beside the flag HIDDEN, which allows SUPPRESSED at most'
    """
    level = Assurance[predicate["assurance"]]
    for flag in predicate["flags"]:
        if level > (highest := _HIGHEST.get(Flag(flag), level)):
            return f"assurance {level.name} beside the flag {flag}, which allows {highest.name} at most"
    if level is Assurance.CLAIMED:
        return None
    if not predicate["actions"]:
        return f"assurance {level.name} without any action"
    if level is Assurance.EXACT and "replay" in predicate and predicate["replay"] is not True:
        return "assurance EXACT without a replay that matched"
    if whole:
        for part in ("verification", "delivery", "manifest"):
            if not predicate[part]:
                return f"assurance {level.name} with nothing under '{part}'"
    return None
