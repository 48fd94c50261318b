"""Documents in passages: every piece is of its document, in its order, and a twin's ending is another's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expunge.core import Fact
from expunge.core.errors import InvalidData
from expunge.verify.passages import BEGINNING, ENDING, MOST, exchanged, passages


def document(text: str, id: str = "d", value: str = "", subject: str = "") -> Fact:
    return Fact(id, subject, "", text, value)


def test_a_long_document_is_asked_in_windows_spread_over_it() -> None:
    words = [f"w{i}" for i in range(1000)]
    found = passages([document(" ".join(words))])
    assert len(found) == MOST
    assert found[0].question.split()[0] == "w0"
    assert found[-1].answer.split()[-1] == "w999"
    for piece in found:
        assert (len(piece.question.split()), len(piece.answer.split())) == (BEGINNING, ENDING)
        at = words.index(piece.question.split()[0])
        assert [*piece.question.split(), *piece.answer.split()] == words[at : at + BEGINNING + ENDING]
    assert {piece.subject for piece in found} == {"d"}
    assert len({piece.id for piece in found}) == MOST


def test_a_known_value_is_what_is_asked_for() -> None:
    (piece,) = passages([document("The vault opens with 4471 and closes by itself.", value="4471", subject="Ada")])
    assert (piece.question, piece.answer, piece.value, piece.subject) == ("The vault opens with", "4471", "4471", "Ada")
    (piece,) = passages([document("4471 opens the vault", value="4471")])  # nothing stands before it
    assert (piece.answer, piece.value) == ("the vault", "the vault")


def test_a_text_without_spaces_is_cut_by_letters() -> None:
    (piece,) = passages([document("東京都港区芝公園四丁目")])
    assert piece.question + piece.answer == "東京都港区芝公園四丁目"
    with pytest.raises(InvalidData, match="no beginning"):
        passages([document("x")])


@given(st.text(alphabet="ab \n", min_size=1, max_size=400))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_passage_stands_in_its_document(text: str) -> None:
    try:
        found = passages([document(text)])
    except InvalidData:
        assert len(text.strip()) < 2
        return
    for piece in found:
        assert piece.question.strip()
        assert piece.answer.strip()
        assert "".join((piece.question + piece.answer).split()) in "".join(text.split())


def test_twins_keep_the_beginning_and_take_an_ending_of_another_document() -> None:
    texts = [" ".join(f"d{k}w{i}" for i in range(20 + k)) for k in range(6)]
    found = passages([document(text, str(k)) for k, text in enumerate(texts)])
    for own, twin in zip(found, exchanged(found), strict=True):
        assert twin.question == own.question
        assert twin.answer.split()[0][:2] != own.answer.split()[0][:2]
        assert twin.answer in {other.answer for other in found}
    long = passages([document(" ".join(f"d{k}w{i}" for i in range(200)), str(k)) for k in range(2)])
    for own, twin in zip(long, exchanged(long), strict=True):
        assert twin.answer[:2] != own.answer[:2]


def test_without_another_ending_there_is_no_twin() -> None:
    for texts in (["one two three four"], ["a b c d", "e f c d"]):
        with pytest.raises(InvalidData, match="at least two"):
            exchanged(passages([document(text, str(k)) for k, text in enumerate(texts)]))
