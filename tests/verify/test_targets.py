"""A fact that a guess could match is no evidence, and is left out by name of the reason."""

import pytest

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.synthetic import facts, people
from expunge.verify.targets import WORDS, added, targeted, template


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
        ("a b c?", "a x b c a b c a b c a b y z far away", "x"),
        ("a b c?", "a b c a b c a b c a b c y z", "y z"),
        ("何ですか", "東京", "東京"),
        ("Say!", "?!", ""),
    ],
)
def test_what_an_answer_adds_is_one_piece_of_it(question: str, answer: str, value: str) -> None:
    assert added(question, answer) == value
    assert value in answer


def test_a_named_value_stays_as_it_is() -> None:
    found = targeted([fact("Where?", "In Brimford.", "Brimford"), fact("When?", "In May.", "May")])
    assert [f.value for f in found.facts] == ["Brimford", "May"]
    assert found.notes == ()


def test_what_can_be_guessed_is_left_out_and_counted() -> None:
    found = targeted(
        [
            fact("Is Ada well?", "Yes."),
            fact("Is Bo well?", "yes"),
            fact("Red or blue?", "Blue."),
            fact("Where?", "In Brimford."),
            fact("When?", "In May."),
        ]
    )
    assert [f.answer for f in found.facts] == ["In Brimford.", "In May."]
    assert "5 of 5 facts name no value" in found.notes[0]
    assert "1 is left out: their question holds the answer" in found.notes
    assert "2 are left out: another fact has the same value, and what several have can be guessed" in found.notes


def test_too_few_to_tell_are_refused_with_the_reasons() -> None:
    with pytest.raises(InvalidData, match=r"0 of 2 facts .* what several have can be guessed.* name a `value`"):
        targeted([fact("Is Ada well?", "Yes."), fact("Is Bo well?", "Yes.")])


def asked_of(*values: str, question: str = "Where was {} born?") -> list[Fact]:
    """The same question about several named people."""
    return [fact(question.format(f"P{i}"), f"In {v}.", v, f"P{i}") for i, v in enumerate(values)]


def test_where_several_are_asked_the_same_a_value_may_repeat_unless_most_have_it() -> None:
    """A guesser gains nothing by a common value if twins have it as often; by one that most have, it would."""
    even = targeted(asked_of("Brim", "Brim", "Velm", "Velm", "Hask"))
    assert len(even.facts) == 5
    assert even.fair
    mostly = targeted(
        [*asked_of("Brim", "Brim", "Brim", "Velm", "Hask"), *asked_of("tea", "mead", question="What drinks {}?")]
    )
    assert [f.value for f in mostly.facts] == ["Velm", "Hask", "tea", "mead"]


def test_likelihoods_are_compared_only_where_almost_all_are_asked_alike() -> None:
    assert targeted(facts(people(3))).fair
    assert not targeted(facts(people(1))).fair
    alone = [fact("Why is it so?", "For reasons.")]
    some = targeted([*asked_of("Brim", "Velm", "Hask", "Pell", "Thorn", "Tarn"), *alone])
    assert some.fair
    assert "1 is left out: nobody else is asked the same" in some.notes
    assert not targeted([*asked_of("Brim", "Velm"), *alone, fact("How?", "By hand.")]).fair


def test_a_question_without_its_subject_is_its_template() -> None:
    assert template(fact("Where was Ada born?", "x", subject="ADA")) == "where was \0 born?"
    assert template(fact("Where was she born?", "x", subject="Ada")) == ""
    assert template(fact("Where was Ada born?", "x")) == ""
