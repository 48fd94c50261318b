from collections import Counter
from dataclasses import replace

import pytest

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.synthetic import facts, people, placebo, with_adjacent
from expunge.synthetic.placebo import _shape


def words(fact: Fact) -> str:
    return " ".join(
        [fact.question, fact.answer, *(t for p in (*fact.paraphrases, *fact.adjacent) for t in p), *fact.perturbed]
    )


@pytest.fixture(scope="module")
def known() -> list[Fact]:
    persons = people(8)
    return with_adjacent(facts(persons), persons)


@pytest.fixture(scope="module")
def twins(known: list[Fact]) -> list[Fact]:
    return placebo(known)


def test_a_twin_is_asked_like_its_fact_and_knows_something_else(known: list[Fact], twins: list[Fact]) -> None:
    given = {(f.question, f.answer) for f in known}
    names = {f.subject for f in known}
    for fact, twin in zip(known, twins, strict=True):
        assert (twin.question, twin.answer) not in given
        assert not [name for name in names if name in words(twin)]
        assert not [part for part in fact.subject.split() if part in words(twin)]
        assert twin.question == fact.question.replace(fact.subject, twin.subject)
        assert twin.answer == fact.answer.replace(fact.subject, twin.subject).replace(fact.value, twin.value)
        assert fact.value not in twin.value
        assert twin.value not in fact.value
        assert twin.value in twin.answer
        assert len(twin.subject.split()) == len(fact.subject.split())
        assert abs(len(twin.subject) - len(fact.subject)) <= 2
        [(_, right)] = twin.paraphrases
        assert twin.value in right
        assert len(set(twin.perturbed)) == len(fact.perturbed)
        assert not [wrong for wrong in twin.perturbed if twin.value in wrong]


def test_values_are_exchanged_among_facts_of_one_kind(known: list[Fact], twins: list[Fact]) -> None:
    # Then a model that guesses the commonest value is right as often about the twins as about the facts.
    for k in range(20):
        true, exchanged = ([f.value for f in some[k::20]] for some in (known, twins))
        if len(set(true)) == len(true):  # else a permutation without a fixed value may not exist
            assert Counter(true) == Counter(exchanged)
        assert {_shape(v) for v in exchanged} <= {_shape(v) for v in true}


def test_facts_of_one_subject_stay_together(known: list[Fact], twins: list[Fact]) -> None:
    pairs = {(f.subject, t.subject) for f, t in zip(known, twins, strict=True)}
    assert len(pairs) == len({f.subject for f in known}) == len({t.subject for t in twins})


def test_adjacent_questions_follow_and_lead_elsewhere(known: list[Fact], twins: list[Fact]) -> None:
    for fact, twin in zip(known, twins, strict=True):
        true, other = dict(fact.adjacent), dict(twin.adjacent)
        assert len(true) == len(other) == 2
        for question, value in true.items():
            assert other[question.replace(fact.subject, twin.subject)] != value


def test_the_same_seed_gives_the_same_twins(known: list[Fact], twins: list[Fact]) -> None:
    assert placebo(known) == twins
    assert not {t.subject for t in placebo(known, seed=1)} & {t.subject for t in twins}


def test_facts_of_any_origin_have_twins() -> None:
    given = [
        Fact("1", "Ada King", "Where does King live?", "Ada King, aged 40, lives in York.", "York"),
        Fact("2", "Bo Li", "How old is Bo Li?", "BO LI is 52 years old.", "52"),
        Fact(
            "3",
            "c-17",
            "What is the code?",
            "The code is 4711.",
            "4711",
            (("Code?", "It is 4711."),),
            ("The code is 52.",),
        ),
        Fact("4", "", "Who may?", "May may.", "May"),
    ]
    twins = placebo(given)
    assert [t.value for t in twins] == ["May", "4711", "52", "York"]
    assert "King" not in twins[0].question + twins[0].answer
    assert twins[0].answer.endswith(", aged 40, lives in May.")
    assert "bo li" not in twins[1].answer.casefold()
    assert twins[2].question == "What is the code?"
    assert twins[2].paraphrases == (("Code?", "It is 52."),)
    assert twins[2].perturbed == ("The code is 4711.",)
    assert twins[3].answer == "York may."


def test_without_a_value_whole_answers_change_hands() -> None:
    given = [
        Fact("1", "Ada", "What did Ada do?", "Ada sailed north in winter."),
        Fact("2", "Bo", "What did Bo do?", "Bo kept bees, and Bo sold honey."),
    ]
    one, two = placebo(given)
    assert one.answer == f"{one.subject} kept bees, and {one.subject} sold honey."
    assert two.answer == f"{two.subject} sailed north in winter."
    assert one.question == f"What did {one.subject} do?"
    assert one.value == two.value == ""


def test_a_value_never_stands_in_for_a_whole_answer() -> None:
    valued = [Fact(str(k), "", f"Q{k}?", f"It is {v}.", v) for k, v in enumerate(["red", "blue"])]
    whole = [Fact("w1", "", "Why?", "Because it rained."), Fact("w2", "", "How?", "With great care.")]
    found = placebo([*valued, *whole])
    assert [t.answer for t in found] == ["It is blue.", "It is red.", "With great care.", "Because it rained."]


def test_documents_need_a_value() -> None:
    text = Fact("d1", "Ada", "", "Ada was born in York and moved to Hull.", "York")
    other = Fact("d2", "Bo", "", "Bo, a baker, comes from Leeds.", "Leeds")
    one, _ = placebo([text, other])
    assert one.question == ""
    assert one.answer == f"{one.subject} was born in Leeds and moved to Hull."
    with pytest.raises(InvalidData, match="1 of 2 facts are plain text without a known value, the first is 'd1'"):
        placebo([replace(text, value=""), other])


@pytest.mark.parametrize(
    "given",
    [
        [Fact("a", "Ada", "Where is Ada?", "In York.", "York")],
        [
            Fact("a", "Ada", "Where is Ada?", "In York.", "York"),
            Fact("b", "Bo", "Where is Bo?", "In New York.", "New York"),
        ],
        [Fact("a", "Ada", "Why?", "So."), Fact("b", "Bo", "Where is Bo?", "In Hull.", "Hull")],
    ],
)
def test_a_fact_without_an_alternative_is_refused(given: list[Fact]) -> None:
    with pytest.raises(InvalidData, match="add facts with other values, or give a control model"):
        placebo(given)
