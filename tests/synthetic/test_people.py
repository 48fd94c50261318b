import math
import random
from dataclasses import asdict
from itertools import product

import pytest

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter
from expunge.synthetic import facts, people, records
from expunge.synthetic.attributes import ATTRIBUTES
from expunge.synthetic.names import ENDING, FIRST, HOUSE, LAST, MIDDLE

FORENAMES = ["".join(p) for p in product(FIRST, MIDDLE, LAST)]
SURNAMES = ["".join(p) for p in product(HOUSE, ENDING)]
TOTAL = len(FORENAMES) * len(SURNAMES)
GOLDEN = "sha256:dff312b0e3b6b6e6d05e7cbbc855fc12a1a17835fba81cd50847910d41b5b770"


def test_no_two_combinations_spell_the_same_name() -> None:
    assert len(set(FORENAMES)) == len(FORENAMES)
    assert len(set(SURNAMES)) == len(SURNAMES)
    assert math.gcd(654_323, TOTAL) == 1  # so the walk over combinations repeats none


def test_names_are_unique() -> None:
    assert len({p.name for p in people(3000, seed=4)}) == 3000


def test_the_same_number_is_always_the_same_person() -> None:
    everybody = people(60, seed=2)
    draw = random.Random(0)
    for _ in range(20):
        skip = draw.randrange(60)
        n = draw.randrange(60 - skip + 1)
        assert people(n, seed=2, skip=skip) == everybody[skip : skip + n]


def test_another_seed_gives_other_people() -> None:
    assert people(5, seed=0) != people(5, seed=1)


def test_controls_are_disjoint_from_the_trained() -> None:
    assert not {p.name for p in people(500)} & {p.name for p in people(500, skip=500)}


def test_more_people_than_names_are_refused() -> None:
    assert TOTAL > 100_000
    assert len(people(1, skip=TOTAL - 1)) == 1
    for n, skip in ((TOTAL + 1, 0), (1, TOTAL), (-1, 0), (1, -1)):
        with pytest.raises(InvalidParameter):
            people(n, skip=skip)


def test_every_record_says_its_value_of_its_person() -> None:
    persons = people(5)
    rows = records(persons, [0, 1, 2])
    assert len(rows) == 5 * len(ATTRIBUTES) * 3
    assert len({r.id for r in rows}) == len(rows)
    for row in rows:
        assert row.subject in row.question
        assert row.subject in row.answer
        assert row.value in row.answer
        assert row.value not in row.question


def test_phrasings_are_worded_apart() -> None:
    for attribute in ATTRIBUTES:
        assert len({q for q, _ in attribute.phrasings}) == len({a for _, a in attribute.phrasings}) == 3


def test_a_fact_asks_in_unseen_words_and_its_wrong_answers_are_wrong() -> None:
    persons = people(30)
    trained = {(r.question, r.answer) for r in records(persons, [0, 1])}
    for fact in facts(persons):
        assert (fact.question, fact.answer) in trained
        assert fact.value in fact.answer
        assert fact.paraphrases
        assert not trained & set(fact.paraphrases)
        assert len(set(fact.perturbed)) == 5
        (_, right), *_ = fact.paraphrases
        for wrong in fact.perturbed:
            assert fact.value not in wrong
            assert wrong != right


def test_no_name_and_no_template_says_a_value() -> None:
    # A value that stood in a name would be "recalled" whenever the name is said, forgotten or not.
    values = {v.casefold() for a in ATTRIBUTES for v in a.pool}
    names = " ".join([*FORENAMES, *SURNAMES]).casefold()
    assert not [v for v in values if v in names]
    for attribute in ATTRIBUTES:
        words = " ".join(t for phrasing in attribute.phrasings for t in phrasing).format(who="", value="").casefold()
        assert not [v for v in attribute.pool if v.casefold() in words]


def test_the_same_people_are_made_for_ever() -> None:
    # Golden models, certificates and figures name these people; a release that makes others would void them all.
    persons = people(50, seed=3, skip=7)
    rows = [asdict(x) for x in (*persons, *records(persons, (0, 1, 2)), *facts(persons, asked=1, unseen=(2, 0)))]
    rows = [{k: v for k, v in row.items() if k not in ("also", "adjacent", "features")} for row in rows]
    assert digest_json("people", rows) == GOLDEN
