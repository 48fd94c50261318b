"""Records from texts: what is no name is refused in a sentence."""

from typing import Any

import pytest

from expunge.core.errors import InvalidData
from expunge.exact._adapter.records import as_records


@pytest.mark.parametrize("subject", [5, 5.0, None, (1, "Ada"), ()])
def test_a_subject_that_is_no_text_is_refused_in_a_sentence(subject: Any) -> None:
    with pytest.raises(InvalidData, match="as text"):
        as_records([("Who?", "Ada.")], [subject], None)


def test_names_are_taken_alone_and_as_a_tuple() -> None:
    records = as_records([("Who?", "Ada."), ("And?", "Eve.")], ["Ada", ("Ada", "Eve")], None)
    assert [r.subjects for r in records] == [("Ada",), ("Ada", "Eve")]


@pytest.mark.parametrize("nobody", ["", " ", ("Ada", ""), None, ("Ada", None)], ids=repr)
def test_a_record_about_nobody_is_refused(nobody: Any) -> None:
    with pytest.raises(InvalidData, match=r"names nobody|needs the name of its subject"):
        as_records([("q", "a")], [nobody], None)
    with pytest.raises(InvalidData, match="1 of 2 record ids are missing"):
        as_records(["a", "b"], ["Ada", "Eve"], ["r1", ""])
