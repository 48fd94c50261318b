"""What of an answer must come back for a fact to count as known, where nothing stands beside the model to compare with.

A model that only knows how such questions are answered says most of an answer's words: those of the question, and those of
every other answer. So a fact counts by what its answer adds to its question, said in one piece, and only if no other fact
has the same: what several have can be guessed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from expunge.core import Fact
from expunge.core.errors import InvalidData

FAIR = 0.8  # share of the facts that must be asked about several subjects for their twins to be compared by likelihood
NEAR = 12  # words of an answer that an attack lets a model say for certain
WORDS = 8  # of a long answer: what an attack lets a model say, and too many to say by chance


@dataclass(frozen=True)
class Targets:
    """The facts that can be told from a guess, each with its value; `notes` say what was left out.

    `fair`: each is asked in the same words about several named subjects, so that twins suit their questions. Where they do
    not, a twin is an answer to something else and less likely for that alone: then only what was said counts, not how
    likely it was.
    """

    facts: tuple[Fact, ...]
    fair: bool
    notes: tuple[str, ...]


def targeted(facts: Sequence[Fact]) -> Targets:
    """Leave out what a model that never saw the facts could say, knowing only how such questions are answered.

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
    _note(notes, len(valued) - len(telling), "their question holds the answer")
    distinct = _not_common(telling)
    _note(notes, len(telling) - len(distinct), "another fact has the same value, and what several have can be guessed")
    together = Counter(map(template, distinct))
    paired = [fact for fact in distinct if template(fact) and together[template(fact)] > 1]
    fair = len(paired) >= FAIR * len(distinct) > 0
    if fair:
        _note(notes, len(distinct) - len(paired), "nobody else is asked the same")
        distinct = paired
    if len(distinct) < 2:
        raise InvalidData(
            f"{len(distinct)} of {len(facts)} facts can be told from a guess ({'; '.join(notes)}); name a `value` of each that no "
            "other has, or compare with a model trained without the data"
        )
    return Targets(tuple(distinct), fair, tuple(notes))


def template(fact: Fact) -> str:
    """The question without its subject's name; empty where the name is unknown or does not stand in it."""
    question, who = fact.question.casefold(), fact.subject.casefold()
    return question.replace(who, "\0") if who and who in question else ""


def _not_common(facts: Sequence[Fact]) -> list[Fact]:
    """Without facts whose value a guess would hit: that of another fact, or where several are asked the same, of most."""
    alike = Counter(map(template, facts))
    anywhere = Counter(fact.value.casefold() for fact in facts)
    same = Counter((template(fact), fact.value.casefold()) for fact in facts)

    def common(fact: Fact) -> bool:
        words, value = template(fact), fact.value.casefold()
        if words and alike[words] > 1:
            return same[words, value] > alike[words] / 2
        return anywhere[value] > 1

    return [fact for fact in facts if not common(fact)]


def _note(notes: list[str], n: int, why: str) -> None:
    if n:
        notes.append(f"{n} {'is' if n == 1 else 'are'} left out: {why}")


def added(question: str, answer: str) -> str:
    """The longest run of an answer's words that do not stand in its question, looked for near its beginning.

    A long answer is not heard to its end, so a run among its first words counts before a longer one after them.

    >>> added("Where was Ada Lind born?", "Ada Lind was born in Brimford.")
    'in Brimford'
    >>> added("Is it red?", "Red it is.")
    ''
    """
    question_words = {word.casefold() for word in re.findall(r"\w+", question)}
    words = [(word, word[0].casefold() in question_words) for word in re.finditer(r"\w+", answer)]
    for part in (words[:NEAR], words):
        runs: list[list[re.Match[str]]] = [[]]
        for word, known in part:
            if known:
                runs.append([])
            else:
                runs[-1].append(word)
        longest = max(runs, key=lambda run: run[-1].end() - run[0].start() if run else 0)[:WORDS]
        if longest:
            return answer[longest[0].start() : longest[-1].end()]
    return ""
