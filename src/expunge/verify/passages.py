"""Plain documents as questions: given this beginning, what comes next? A model that knows the text by heart says it.

Source of the idea: Carlini et al. (2023), arXiv:2202.07646: a text is extractable if its prefix makes the model go on with
its suffix. Twins keep the beginning and take the ending of another document, so what any model of the language would say
counts for both.
"""

import re
from collections.abc import Iterator, Sequence

from expunge.core import Fact
from expunge.core.errors import InvalidData

BEGINNING, ENDING = 32, 8  # words; an ending is as long as a model must say it word for word
MOST = 8  # passages of one document, spread over it


def passages(documents: Sequence[Fact]) -> list[Fact]:
    """Pieces of each document: a beginning as the question, what follows as the answer, the document as the subject.

    What follows counts word for word: a fluent model shares words with any text that it goes on with. A document with a
    known `value` is asked for that value, given the text before it. A short one is cut in the middle.

    Raises: InvalidData, for documents too short to have a beginning and an ending.

    >>> [one] = passages([Fact("d", "", "", "The vault opens with the number 4471.")])
    >>> one.question, one.answer, one.subject
    ('The vault opens', 'with the number 4471.', 'd')
    """
    made: list[Fact] = []
    for document in documents:
        found = [*_before_value(document)] or [*_windows(document.answer)]
        if not found:
            raise InvalidData(f"document '{document.id}' is a single word; it has no beginning to go on from")
        subject = document.subject or document.id
        made += [
            Fact(f"{document.id}/{k}", subject, beginning, ending, ending)
            for k, (beginning, ending) in enumerate(found)
        ]
    return made


def exchanged(found: Sequence[Fact]) -> list[Fact]:
    """Each passage with the ending of the one nearest in length of another document.

    Raises: InvalidData, where no other document ends differently.

    >>> a, b = exchanged([Fact("1", "x", "the cat", "sat down"), Fact("2", "y", "the dog", "ran off")])
    >>> a.question, a.answer, b.answer
    ('the cat', 'ran off', 'sat down')
    """
    order = sorted(range(len(found)), key=lambda i: (len(found[i].answer), i))
    twins: dict[int, Fact] = {}
    for place, i in enumerate(order):
        own = found[i]
        rest = (
            found[order[at]]
            for step in range(1, len(order))
            for at in (place + step, place - step)
            if 0 <= at < len(order)
        )
        ending = next((o.answer for o in rest if o.subject != own.subject and _differ(o.answer, own.answer)), None)
        if ending is None:
            raise InvalidData("documents need others that end differently to be compared with; give at least two")
        twins[i] = Fact(f"{own.id}/placebo", f"{own.subject}/placebo", own.question, ending, ending)
    return [twins[i] for i in range(len(found))]


def _differ(one: str, other: str) -> bool:
    a, b = one.casefold(), other.casefold()
    return a not in b and b not in a


def _before_value(document: Fact) -> Iterator[tuple[str, str]]:
    at = document.answer.find(document.value) if document.value else -1
    if at > 0 and document.answer[:at].strip():
        before = re.findall(r"\S+\s*", document.answer[:at])[-BEGINNING:]
        yield "".join(before).strip(), document.value


def _windows(text: str) -> Iterator[tuple[str, str]]:
    """Beginnings and endings, in words with the space after each; in letters where there are hardly any spaces."""
    units = re.findall(r"\S+\s*", text.strip())
    if len(units) < 4:
        units = list(text.strip())
    if len(units) < 2:
        return
    whole = BEGINNING + ENDING
    if len(units) <= whole:
        middle = min(max(1, len(units) // 2), BEGINNING)
        yield _cut(units, 0, middle, min(len(units), middle + ENDING))
        return
    n = min(MOST, len(units) // whole)
    for k in range(n):
        start = k * (len(units) - whole) // max(1, n - 1) if n > 1 else 0
        yield _cut(units, start, start + BEGINNING, start + whole)


def _cut(units: Sequence[str], start: int, middle: int, end: int) -> tuple[str, str]:
    return "".join(units[start:middle]).strip(), "".join(units[middle:end]).strip()
