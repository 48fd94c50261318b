"""A fact that a guess could match is no evidence, and is left out by name of the reason."""

import pytest

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.synthetic import facts, people
from expunge.verify.targets import WORDS, added, suited, targeted


def fact(question: str, answer: str, value: str = "", subject: str = "") -> Fact:
    return Fact(question + answer, subject, question, answer, value)


@pytest.mark.parametrize(
    ("question", "answer", "value"),
    [
        ("Where was Ada born?", "Ada was born in Brimford.", "in Brimford"),
        ("What does Ada do?", "Ada works as a baker.", "works as a baker"),
        ("Who?", "Ada Lind, of Brimford", "Ada Lind, of Brimford"),
        ("Is it ADA?", "ada it is", ""),
        ("Who?", " ".join(f"w{i}" for i in range(40)), " ".join(f"w{i}" for i in range(WORDS))),
        ("何ですか", "東京", "東京"),
        ("Say!", "?!", ""),
    ],
)
def test_what_an_answer_adds_is_one_piece_of_it(question: str, answer: str, value: str) -> None:
    assert added(question, answer) == value
    assert value in answer


def test_a_named_value_stays_as_it_is() -> None:
    kept, notes = targeted([fact("Where?", "In Brimford.", "Brimford"), fact("When?", "In May.", "May")])
    assert [f.value for f in kept] == ["Brimford", "May"]
    assert notes == []


def test_what_can_be_guessed_is_left_out_and_counted() -> None:
    kept, notes = targeted(
        [
            fact("Is Ada well?", "Yes."),
            fact("Is Bo well?", "yes"),
            fact("Red or blue?", "Blue."),
            fact("Where?", "In Brimford."),
            fact("When?", "In May."),
        ]
    )
    assert [f.answer for f in kept] == ["In Brimford.", "In May."]
    assert "5 of 5 facts name no value" in notes[0]
    assert "1 are left out: their question holds the answer" in notes
    assert "2 are left out: another fact has the same value, and what several have can be guessed" in notes


def test_too_few_to_tell_are_refused_with_the_reasons() -> None:
    with pytest.raises(InvalidData, match=r"0 of 2 facts .* what several have can be guessed.* name a `value`"):
        targeted([fact("Is Ada well?", "Yes."), fact("Is Bo well?", "Yes.")])


def test_twins_suit_questions_that_are_asked_of_several_named_subjects() -> None:
    assert suited(facts(people(2)))
    assert not suited(facts(people(1)))
    assert not suited([*facts(people(2)), fact("Why?", "So.")])
