from itertools import product

import pytest

from expunge.core.errors import InvalidData
from expunge.synthetic import derived_records, facts, people, with_adjacent
from expunge.synthetic.attributes import ATTRIBUTES
from expunge.synthetic.derived import DERIVED
from expunge.synthetic.names import ENDING, FIRST, HOUSE, LAST, MIDDLE

NAMES = " ".join("".join(p) for pools in ((FIRST, MIDDLE, LAST), (HOUSE, ENDING)) for p in product(*pools)).casefold()


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda a: a.name)
def test_every_value_leads_to_exactly_one_other(attribute: object) -> None:
    derived = DERIVED[attribute.name]  # type: ignore[attr-defined]
    for value in attribute.pool:  # type: ignore[attr-defined]
        [word] = [w for w in derived.leads_to if w in value]
        found = derived.of(value)
        assert found == derived.leads_to[word]
        assert found.casefold() not in value.casefold()
        assert value.casefold() not in found.casefold()
    assert len(set(derived.leads_to.values())) == len(derived.leads_to) >= 10  # so that a guess is rarely right


def test_nothing_that_is_asked_says_what_is_derived() -> None:
    for derived in DERIVED.values():
        words = " ".join(t for phrasing in derived.phrasings for t in phrasing).format(who="", value="").casefold()
        for found in derived.leads_to.values():
            assert found.casefold() not in words
            assert found.casefold() not in NAMES


def test_nothing_that_is_derived_is_said_by_a_plain_answer() -> None:
    pools = " ".join(v for a in ATTRIBUTES for v in a.pool).casefold()
    plain = " ".join(t for a in ATTRIBUTES for phrasing in a.phrasings for t in phrasing).casefold()
    found = {v.casefold() for d in DERIVED.values() for v in d.leads_to.values()}
    assert not [v for v in found if v in pools or v in plain]


def test_records_say_it_of_the_person_and_never_the_value_itself() -> None:
    persons = people(10)
    rows = derived_records(persons, [0, 1])
    assert len({r.id for r in rows}) == len(rows) == 10 * 20 * 2
    values = {(p.name, a.name): v for p in persons for a, v in zip(ATTRIBUTES, p.values, strict=True)}
    for row in rows:
        name, attribute = row.id.split("/")[:2]
        assert row.subject == name
        assert name in row.question
        assert name in row.answer
        assert row.value in row.answer
        assert row.value not in row.question
        assert values[name, attribute] not in row.question + row.answer


def test_facts_gain_their_adjacent_questions_and_keep_all_else() -> None:
    persons = people(4)
    plain = facts(persons)
    found = with_adjacent(plain[::-1], persons)
    asked = {(r.question, r.value) for r in derived_records(persons, [0, 1])}
    for fact, before in zip(found, plain[::-1], strict=True):
        assert len(fact.adjacent) == 2
        assert set(fact.adjacent) <= asked
        assert fact.__dict__ | {"adjacent": ()} == before.__dict__


def test_a_fact_about_somebody_else_is_refused() -> None:
    with pytest.raises(InvalidData, match="20 of 40 facts are about nobody among the 1 persons"):
        with_adjacent(facts(people(2)), people(1))
