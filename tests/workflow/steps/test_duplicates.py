"""Retained records that repeat what was forgotten, and those that only share a template with it."""

from expunge.core import Fact, Record
from expunge.workflow.steps.duplicates import repeats

TEMPLATE = "The patient, {who}, was admitted to the hospital on Monday morning with a diagnosis of {what}, and stayed."


def _fact(who: str, what: str) -> Fact:
    return Fact("f", who, "What does the file say?", TEMPLATE.format(who=who, what=what), what)


def _record(who: str, what: str, text: str = TEMPLATE) -> Record:
    return Record(f"{who}/{what}", who, "What does the file say?", text.format(who=who, what=what), what)


def test_almost_the_same_words_count_whoever_they_are_filed_under() -> None:
    forgotten = [_fact("Ada Lind", "measles")]
    moved = Record("x", "somebody else", "", forgotten[0].question + " " + forgotten[0].answer.upper() + " ")
    changed = _record(
        "Ada Lind", "measles", TEMPLATE.replace("Monday morning", "monday-morning").replace(", and", "; and")
    )
    assert repeats(forgotten, [moved, changed, _record("Bo Kern", "a cold")]) == 2


def test_another_person_in_the_same_template_is_no_duplicate() -> None:
    forgotten = [_fact("Ada Lind", "measles")]
    assert repeats(forgotten, [_record("Ida Lund", "measles")]) == 0  # another patient with the same illness
    assert repeats(forgotten, [_record("Ada Lind", "mumps")]) == 0  # another fact about the same name


def test_a_text_that_names_nobody_counts_by_its_words() -> None:
    forgotten = [Fact("f", "u-17", "", "The blue vault behind the boiler room opens with the words open sesame.")]
    kept = [
        Record("1", "u-18", "", "the blue vault behind the boiler room opens with the words: open sesame"),
        Record("2", "u-19", "", "The red door beside the garage opens with a key from the porter."),
    ]
    assert repeats(forgotten, kept) == 1
