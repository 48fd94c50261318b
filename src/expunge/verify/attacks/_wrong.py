"""The wrong values that a fact's `perturbed` answers say."""

from expunge.core import Fact


def wrong_values(fact: Fact) -> list[str]:
    """What stands in each perturbed answer where the right one has the value; answers worded otherwise are passed over.

    >>> fact = Fact("1", "Ada", "Where?", "In York.", "York", (("Town?", "It is York."),), ("It is Hull.", "Bath, I think."))
    >>> wrong_values(fact)
    ['Hull']
    """
    found: list[str] = []
    for right in (*(answer for _, answer in fact.paraphrases[:1]), fact.answer):
        before, value, after = right.partition(fact.value) if fact.value else ("", "", "")
        if not value:
            continue
        for wrong in fact.perturbed:
            inner = wrong[len(before) : len(wrong) - len(after)].strip()
            if wrong.startswith(before) and wrong.endswith(after) and _differs(inner, fact.value):
                found.append(inner)
    return list(dict.fromkeys(found))


def _differs(wrong: str, value: str) -> bool:
    a, b = wrong.casefold(), value.casefold()
    return bool(a) and a not in b and b not in a
