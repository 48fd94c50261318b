"""A generator of fictitious people, seeded: unique names, twenty facts each, several phrasings, wrong answers.

Source of the idea: Maini et al. (2024), TOFU, arXiv:2401.06121: facts that exist nowhere else can be known only from
training, so a model that never trained on them is a true control.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from expunge.core import Fact, Record
from expunge.core.errors import InvalidParameter
from expunge.synthetic.attributes import ATTRIBUTES
from expunge.synthetic.names import names

N_WRONG = 5


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist. `values` holds one value per attribute, in the order of ATTRIBUTES."""

    name: str
    values: tuple[str, ...]


def people(n: int, seed: int = 0, skip: int = 0) -> list[Person]:
    """The people numbered `skip` to `skip + n` of an endless seeded list; the same number is always the same person.

    Raises: InvalidParameter, beyond the number of names there are (over 100,000).

    >>> people(1, skip=3) == people(4)[3:]
    True
    >>> len({p.name for p in people(500)})
    500
    """
    if n < 0 or skip < 0:
        raise InvalidParameter(f"need n and skip >= 0, got n={n}, skip={skip}")
    return [Person(name, _values(seed, name)) for name in names(seed, skip, n)]


def _values(seed: int, name: str) -> tuple[str, ...]:
    draw = random.Random(f"values/{seed}/{name}")
    return tuple(draw.choice(attribute.pool) for attribute in ATTRIBUTES)


def records(persons: Sequence[Person], phrasings: Sequence[int] = (0, 1)) -> list[Record]:
    """Training records: one per person, attribute and phrasing; the subject is the person's name.

    >>> records(people(1), phrasings=[0])[0].question.startswith("Where was ")
    True
    """
    return [
        Record(
            f"{person.name}/{attribute.name}/{k}",
            person.name,
            *_say(person.name, attribute.phrasings[k], value),
            value,
        )
        for person in persons
        for attribute, value in zip(ATTRIBUTES, person.values, strict=True)
        for k in phrasings
    ]


def facts(persons: Sequence[Person], asked: int = 0, unseen: Sequence[int] = (2,)) -> list[Fact]:
    """Probes: what is asked directly (phrasing `asked`), in unseen words, and wrong answers from the same pool.

    >>> fact = facts(people(1))[0]
    >>> fact.value in fact.answer and not any(fact.value in wrong for wrong in fact.perturbed)
    True
    """
    return [_fact(person, i, asked, unseen) for person in persons for i in range(len(ATTRIBUTES))]


def _fact(person: Person, i: int, asked: int, unseen: Sequence[int]) -> Fact:
    attribute, value = ATTRIBUTES[i], person.values[i]
    draw = random.Random(f"wrong/{person.name}/{attribute.name}")
    wrong_values = draw.sample([v for v in attribute.pool if v not in value and value not in v], N_WRONG)
    question, answer = _say(person.name, attribute.phrasings[asked], value)
    return Fact(
        id=f"{person.name}/{attribute.name}",
        subject=person.name,
        question=question,
        answer=answer,
        value=value,
        paraphrases=tuple(_say(person.name, attribute.phrasings[k], value) for k in unseen),
        perturbed=tuple(_say(person.name, attribute.phrasings[unseen[0]], wrong)[1] for wrong in wrong_values),
    )


def _say(who: str, phrasing: tuple[str, str], value: str) -> tuple[str, str]:
    question, answer = phrasing
    return question.format(who=who), answer.format(who=who, value=value)
