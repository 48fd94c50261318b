"""Placebo facts: never trained on, and made to match given ones, so that a model that cannot know them shows the chance level.

A placebo keeps the words of a fact and changes what only training could teach. The subject, wherever the texts name it,
becomes a stranger; the value becomes that of another given fact, by a permutation among facts that are asked in the same
words, so that placebos' values are as common as the true ones. Where no value is known, the whole answer is exchanged.

How far to trust it:
- A placebo shares its sentences with trained ones. Where neither the subject stands in the texts nor a value is known, only
  the pairing of question and answer is new. Where the subject does not stand in the question, the question itself was trained
  on: a model that still answers it scores *below* chance on the placebo.
- Exchanged whole answers may not suit the question. They then score below what a model that never saw the fact would, which
  makes leakage look larger, never smaller.
- Invented names are spelled with other tokens than common ones. A model retrained without the data has none of these limits.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.synthetic.names import stranger

_WHO, _HERE = "\ue000", "\ue001"  # of the private use area: they stand in no text
_NEVER = 1e9


def placebo(facts: Sequence[Fact], seed: int = 0) -> list[Fact]:
    """One never-trained twin of each fact, in the order given; the same facts and seed give the same twins.

    All facts of a subject become facts of one stranger. Wrong answers, paraphrases and adjacent questions follow along; an
    adjacent question for which no given fact has another value is left out.

    Raises: InvalidData, where a fact has no twin: no other given fact has another value (or answer), or it is plain text
    without a known value, all of whose alternatives were trained on themselves.

    >>> from expunge.synthetic import facts, people
    >>> known = facts(people(2))[::20]  # where two people were born
    >>> twin, other = placebo(known)
    >>> twin.value == known[1].value and twin.value in twin.answer
    True
    >>> known[0].subject in twin.question + twin.answer
    False
    """
    if bare := [f.id for f in facts if not f.question and not _carried(f)]:
        raise InvalidData(
            f"{len(bare)} of {len(facts)} facts are plain text without a known value, the first is '{bare[0]}'; give each a "
            "`value` that stands in its text, or compare with a model trained without them"
        )
    known = [_Known.of(fact, name) for fact, name in zip(facts, _names(facts, seed), strict=True)]
    donors = _donors(known)
    neighbours = _neighbours(known)
    return [_twin(one, known[j], neighbours) for one, j in zip(known, donors, strict=True)]


@dataclass(frozen=True)
class _Naming:
    """Who a subject becomes: the patterns that find the name, or words of it alone, and the stranger's in their place."""

    swaps: tuple[tuple[re.Pattern[str], str], ...] = ()

    def __call__(self, text: str) -> str:
        for pattern, name in self.swaps:
            text = pattern.sub(name, text)
        return text

    def abstract(self, text: str) -> str:
        for pattern, _ in self.swaps:
            text = pattern.sub(_WHO, text)
        return text


def _names(facts: Sequence[Fact], seed: int) -> list[_Naming]:
    """A stranger for each subject, none for two, and none with a word that stands in any text."""
    taken = {word for fact in facts for text in _texts(fact) for word in re.findall(r"\w+", text.casefold())}
    found: dict[str, _Naming] = {"": _Naming()}
    for fact in facts:
        parts = fact.subject.split()
        if fact.subject in found or not parts:
            continue
        name = stranger(f"{seed}/{fact.subject}", len(parts), len(fact.subject), taken)
        taken.add(name.casefold())
        apart = zip(parts[-4:], name.split(), strict=True) if len(parts) > 1 else ()
        swaps = [(_whole(r"\s+".join(map(re.escape, parts)), re.IGNORECASE), name)]
        swaps += [(_whole(re.escape(old)), new) for old, new in apart if len(old) > 2 and old[0].isupper()]
        found[fact.subject] = _Naming(tuple(swaps))
    return [found[fact.subject if fact.subject.split() else ""] for fact in facts]


def _texts(fact: Fact) -> list[str]:
    pairs = [text for pair in (*fact.paraphrases, *fact.adjacent) for text in pair]
    return [fact.subject, fact.question, fact.answer, *pairs, *fact.perturbed]


@dataclass(frozen=True)
class _Known:
    """A given fact seen from outside. `template`: the words it is asked in. `payload`: its value, or else its answer."""

    fact: Fact
    naming: _Naming
    carried: bool
    template: str
    payload: str

    @classmethod
    def of(cls, fact: Fact, naming: _Naming) -> "_Known":
        if not _carried(fact):
            return cls(fact, naming, False, naming.abstract(fact.question), naming.abstract(fact.answer))
        form = _put(fact.question or fact.answer, fact.value, _HERE)
        return cls(fact, naming, True, naming.abstract(form), fact.value)


def _carried(fact: Fact) -> bool:
    """Whether the value is known and stands in the answer."""
    return bool(fact.value) and fact.value.casefold() in fact.answer.casefold()


def _whole(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){pattern}(?!\w)", flags)


def _put(text: str, old: str, new: str) -> str:
    """`new` for `old`: as a word in the same case, else as a word in any case, else wherever it stands.

    >>> _put("It may be May.", "May", "June")
    'It may be June.'
    """
    any_case = re.compile(re.escape(old), re.IGNORECASE)
    for pattern in (_whole(re.escape(old)), _whole(re.escape(old), re.IGNORECASE), any_case):
        if pattern.search(text):
            return pattern.sub(lambda _: new, text)
    return text


def _donors(known: Sequence[_Known]) -> list[int]:
    """From whom each fact takes its payload: a permutation within a template where there is one, else the most similar."""
    groups: dict[tuple[bool, str], list[int]] = {}
    for i, one in enumerate(known):
        groups.setdefault((one.carried, one.template), []).append(i)
    chosen: dict[int, int] = {}
    for group in groups.values():
        cost_NN = np.array([[_cost(known[i], known[j]) for j in group] for i in group])
        for row, column in zip(*linear_sum_assignment(cost_NN), strict=True):
            if cost_NN[row, column] < _NEVER:
                chosen[group[row]] = group[column]
    for i in range(len(known)):
        if i not in chosen:
            costs = [_cost(known[i], other) for other in known]
            if min(costs) >= _NEVER:
                raise InvalidData(
                    f"no placebo for fact '{known[i].fact.id}': none of the {len(known)} facts has a value (or answer) that "
                    "differs from its own; add facts with other values, or give a control model"
                )
            chosen[i] = costs.index(min(costs))
    return [chosen[i] for i in range(len(known))]


def _cost(one: _Known, other: _Known) -> float:
    """How unlike two payloads look; prohibitive where one says the other, or a value would stand for a whole answer."""
    a, b = one.payload.casefold(), other.payload.casefold()
    if one.carried != other.carried or a in b or b in a:
        return _NEVER
    return (
        abs(len(a) - len(b)) + 4 * abs(a.count(" ") - b.count(" ")) + 4 * (_shape(one.payload) != _shape(other.payload))
    )


def _shape(value: str) -> str:
    """Letters by case, digits, and all else as it is; runs of one kind as one.

    >>> _shape("Lorrenhaven 12")
    'Aa 1'
    """
    kinds = re.sub(r"[^\W\d_]", lambda m: "A" if m[0].isupper() else "a", re.sub(r"\d", "1", value))
    return re.sub(r"(.)\1+", r"\1", kinds)


def _neighbours(known: Sequence[_Known]) -> dict[str, list[str]]:
    """The values of adjacent questions that are asked in the same words."""
    found: dict[str, list[str]] = {}
    for one in known:
        for question, value in one.fact.adjacent:
            found.setdefault(one.naming.abstract(question), []).append(value)
    return found


def _twin(one: _Known, donor: _Known, neighbours: dict[str, list[str]]) -> Fact:
    changed = _with_value if one.carried else _with_answer
    return replace(
        changed(one, donor),
        id=f"{one.fact.id}/placebo",
        subject=one.naming(one.fact.subject),
        adjacent=_adjacent(one, donor, neighbours),
    )


def _with_value(one: _Known, donor: _Known) -> Fact:
    """The stranger's fact with the donor's value; a wrong answer that says this value says the true one instead."""
    fact, value = one.fact, donor.payload

    def text(given: str) -> str:  # the value leaves first, so that a name like it is not taken for it
        return one.naming(_put(given, fact.value, _HERE)).replace(_HERE, value)

    return replace(
        fact,
        question=text(fact.question),
        answer=text(fact.answer),
        value=value,
        paraphrases=tuple((text(q), text(a)) for q, a in fact.paraphrases),
        perturbed=tuple(one.naming(_put(wrong, value, fact.value)) for wrong in fact.perturbed),
    )


def _with_answer(one: _Known, donor: _Known) -> Fact:
    """The stranger's question with the donor's answer; a wrong answer that equals it becomes the true one."""
    fact, text = one.fact, one.naming
    answer = donor.payload.replace(_WHO, text(fact.subject))
    return replace(
        fact,
        question=text(fact.question),
        answer=answer,
        value="",
        paraphrases=tuple((text(q), answer) for q, _ in fact.paraphrases),
        perturbed=tuple(text(fact.answer) if text(wrong) == answer else text(wrong) for wrong in fact.perturbed),
    )


def _adjacent(one: _Known, donor: _Known, neighbours: dict[str, list[str]]) -> tuple[tuple[str, str], ...]:
    """Each adjacent question about the stranger, with the donor's value, or with another that differs from the true one."""
    of_donor = {donor.naming.abstract(question): value for question, value in donor.fact.adjacent}
    twins = []
    for question, true in one.fact.adjacent:
        form = one.naming.abstract(question)
        candidates = [of_donor[form]] if form in of_donor else []
        candidates += sorted(neighbours[form])
        a = true.casefold()
        if different := [v for v in candidates if a not in v.casefold() and v.casefold() not in a]:
            twins.append((one.naming(question), different[0]))
    return tuple(twins)
