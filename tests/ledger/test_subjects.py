from collections.abc import Callable

import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import EmptyForgetSet, UnknownName, UnknownSubject
from expunge.ledger import Ledger
from expunge.ledger.subjects import commitments_of


def test_identities_are_found_in_any_unicode_form(people: Ledger) -> None:
    found = people.find_subjects("people", ["  Zoe\u0308 Mu\u0308ller ", PEOPLE[0]])
    assert found["  Zoe\u0308 Mu\u0308ller "] == people.find_subjects("people", [PEOPLE[1]])[PEOPLE[1]]
    assert len(set(found.values())) == 2
    assert all(len(ref) == 32 for ref in found.values())


def test_an_unknown_subject_is_named_by_line_only(people: Ledger) -> None:
    said = r"1 of 3 subjects has no record in dataset 'people' \(line 2 of the input\)"
    with pytest.raises(UnknownSubject, match=said) as e:
        people.find_subjects("people", [PEOPLE[0], "Dora Secret", PEOPLE[2]])
    assert "Dora" not in str(e.value)
    with pytest.raises(UnknownSubject, match="2 of 2 subjects have"):
        people.find_subjects("people", ["", PEOPLE[0].upper()])


def test_nobody_and_an_unknown_dataset_are_refused(people: Ledger) -> None:
    with pytest.raises(EmptyForgetSet, match="no subject was named"):
        people.find_subjects("people", [])
    with pytest.raises(UnknownName):
        people.find_subjects("orders", [PEOPLE[0]])


def test_commitments_are_those_of_the_subject_until_the_erasure_ends(
    people: Ledger, forget: Callable[..., str]
) -> None:
    (ref,) = people.find_subjects("people", [PEOPLE[0]]).values()
    with people.database.read() as session:
        found = commitments_of(people, session, [ref])
    assert found == {row.commitment for row in people.live_data("people").rows if row.subject == ref}
    forget(PEOPLE[0])
    with (
        people.database.read() as session,
        pytest.raises(UnknownSubject, match="1 of 1 subject references are erased"),
    ):
        commitments_of(people, session, [ref])
