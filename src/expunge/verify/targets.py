"""What of an answer must come back for a fact to count as known, where nothing stands beside the model to compare with.

A model that only knows how such questions are answered says most of an answer's words: those of the question, and those of
every other answer. So a fact counts by what its answer adds to its question, said in one piece, and only if no other fact
has the same: what several have can be guessed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from expunge.core import Fact
from expunge.core.errors import InvalidData

WORDS = 8  # of a long answer: what an attack lets a model say, and too many to say by chance


def targeted(facts: Sequence[Fact]) -> tuple[list[Fact], list[str]]:
    """The facts that can be told from a guess, each with its value, and in words what was left out.

    Raises: InvalidData, if fewer than two are left.
    """
    valued = [fact if fact.value else replace(fact, value=added(fact.question, fact.answer)) for fact in facts]
    notes = []
    if guessed := sum(not fact.value for fact in facts):
        notes.append(
            f"{guessed} of {len(facts)} facts name no value: what an answer adds to its question, up to {WORDS} words, must come "
            "back in one piece"
        )
    telling = [fact for fact in valued if fact.value and fact.value.casefold() not in fact.question.casefold()]
    if n := len(valued) - len(telling):
        notes.append(f"{n} are left out: their question holds the answer")
    times = Counter(fact.value.casefold() for fact in telling)
    kept = [fact for fact in telling if times[fact.value.casefold()] == 1]
    if n := len(telling) - len(kept):
        notes.append(f"{n} are left out: another fact has the same value, and what several have can be guessed")
    if len(kept) < 2:
        raise InvalidData(
            f"{len(kept)} of {len(facts)} facts can be told from a guess ({'; '.join(notes)}); name a `value` of each that no "
            "other has, or compare with a model trained without the data"
        )
    return kept, notes


def added(question: str, answer: str) -> str:
    """The longest run of an answer's words that do not stand in its question, its first words if it is long.

    >>> added("Where was Ada Lind born?", "Ada Lind was born in Brimford.")
    'in Brimford'
    >>> added("Is it red?", "Red it is.")
    ''
    """
    asked = {word.casefold() for word in re.findall(r"\w+", question)}
    runs: list[list[re.Match[str]]] = [[]]
    for word in re.finditer(r"\w+", answer):
        if word[0].casefold() in asked:
            runs.append([])
        else:
            runs[-1].append(word)
    longest = max(runs, key=lambda run: run[-1].end() - run[0].start() if run else 0)[:WORDS]
    return answer[longest[0].start() : longest[-1].end()] if longest else ""


def suited(facts: Sequence[Fact]) -> bool:
    """Whether twins suit their questions: each is asked in the same words about several known subjects.

    Where they do not, a twin is an answer to something else, and less likely for that alone; then only what was said counts,
    not how likely it was.

    >>> suited([Fact(str(i), who, f"Where was {who} born?", "In x.") for i, who in enumerate(("Ada", "Bo"))])
    True
    """
    templates = Counter[str]()
    of: list[str] = []
    for fact in facts:
        asked = fact.question.casefold()
        named = bool(fact.subject) and fact.subject.casefold() in asked
        of.append(asked.replace(fact.subject.casefold(), "\0") if named else "")
        templates[of[-1]] += 1
    return all(template and templates[template] > 1 for template in of)
