"""Facts that should stay and lie closest to what was forgotten: the first to go when unlearning reaches too far."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from expunge.core import Fact
from expunge.verify.probes import Probes
from expunge.verify.side_effects.effect import Effect, effect, not_measured
from expunge.verify.side_effects.seen import Seen

NEAREST = 0.25  # of the retained facts, by words
_MEANS = (
    "recall on retained facts {which}; 1 of the control's means that they stayed, below 0.95 that they were taken along"
)
_KINDS = {
    "same value": "with the same answer to the same question as a forgotten one",
    "same question": "that answer a question of the same wording about somebody else",
    "nearest words": "whose words are most like a forgotten one's, names left out",
    "all retained": "of every kind",
}


def neighbours(seen: Mapping[str, Seen], probes: Probes) -> list[Effect]:
    """Recall of each kind of neighbour, relative to the control's, with bounds over subjects."""
    found = kinds(probes)
    return [
        _recalled(f"recall: {kind}", _MEANS.format(which=which), seen, probes, found[kind])
        for kind, which in _KINDS.items()
    ]


def kinds(probes: Probes) -> dict[str, list[int]]:
    """Which retained facts are neighbours, by kind. A fact may be of several kinds; a kind may be empty.

    "same question" leaves out those of "same value". "nearest words" is the quarter of retained facts with the largest
    TF-IDF cosine to any forgotten fact, so it always exists, also where no wording recurs.
    """
    wordings = {wording(f) for f in probes.forget}
    values = {(wording(f), f.value.casefold()) for f in probes.forget if f.value}
    same_value = [i for i, f in enumerate(probes.retain) if (wording(f), f.value.casefold()) in values]
    same_question = [i for i, f in enumerate(probes.retain) if wording(f) in wordings and i not in set(same_value)]
    everything = list(range(len(probes.retain)))
    return {
        "same value": same_value,
        "same question": same_question,
        "nearest words": _nearest(probes.forget, probes.retain),
        "all retained": everything,
    }


def wording(fact: Fact) -> str:
    """A question with its subject's name taken out.

    >>> wording(Fact("1", "Ada Lind", "Where was Ada Lind born?", "In Brimford."))
    'where was … born?'
    """
    question = fact.question.casefold()
    return question.replace(fact.subject.casefold(), "…") if fact.subject else question


def _nearest(forget: Sequence[Fact], retain: Sequence[Fact]) -> list[int]:

    def words(facts: Sequence[Fact]) -> list[str]:
        return [f"{wording(f)} {f.answer.casefold().replace(f.subject.casefold() or '…', '…')}" for f in facts]

    if not any(re.search(r"\w", text) for text in words(retain)):
        return []
    tfidf = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit([*words(forget), *words(retain)])
    closeness_R = np.asarray((tfidf.transform(words(retain)) @ tfidf.transform(words(forget)).T).max(axis=1).todense())
    n = max(1, round(len(retain) * NEAREST))
    order = sorted(range(len(retain)), key=lambda i: (-round(float(closeness_R[i, 0]), 9), i))
    return sorted(order[:n])


def _recalled(name: str, means: str, seen: Mapping[str, Seen], probes: Probes, at: Sequence[int]) -> Effect:
    if not at:
        return not_measured(name, means, "no retained fact is of this kind")
    scores = {arm: [found.recalled[i] for i in at] for arm, found in seen.items()}
    return effect(name, means, scores, [probes.retain[i].subject or probes.retain[i].id for i in at], relative=True)
