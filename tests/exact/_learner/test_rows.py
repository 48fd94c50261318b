"""What leaves the rows of a learner is nowhere in them any more, and what stays keeps its place."""

import pickle
import struct

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from expunge.core.errors import AlreadyForgotten, InvalidData, UnknownRecord, UnknownSubject
from expunge.exact._learner.rows import Rows, as_fields

MARK = 123456.789
SALT = b"salt"


def kinds() -> dict[str, object]:
    X = np.arange(12.0).reshape(6, 2)
    X[2, 1] = MARK
    words = [f"word {i}" for i in range(6)]
    return {
        "array": X,
        "sparse": sparse.csr_matrix(X),
        "objects": np.array([[f"c{i}", f"d{i}"] for i in range(6)], dtype=object),
        "texts": words,
        "fields": as_fields([X[:, 1], np.array(words, dtype=object)]),
    }


def marks(kind: str) -> bytes:
    return {"objects": b"d2", "texts": b"word 2", "fields": struct.pack(">d", MARK)}.get(
        kind, np.float64(MARK).tobytes()
    )


@pytest.mark.parametrize("kind", kinds())
def test_a_record_that_left_is_in_no_byte(kind: str) -> None:
    rows = Rows(kinds()[kind], np.arange(6), SALT, subjects=list("aabbcc"))
    assert marks(kind) in pickle.dumps(rows), "the control: it is there before"
    rows.wipe(np.array([2]))
    assert marks(kind) not in pickle.dumps(rows)
    assert rows.n == 5


@pytest.mark.parametrize("kind", kinds())
def test_what_stays_is_packed_like_a_fit_without(kind: str) -> None:
    whole = kinds()[kind]
    keep = [0, 1, 3, 4, 5]
    rest = [whole[i] for i in keep] if isinstance(whole, list) else whole[keep]  # type: ignore[index]
    rows = Rows(whole, np.arange(6), SALT, subjects=list("aabbcc"))
    rows.wipe(np.array([2]))
    fresh = Rows(rest, np.array(keep), SALT, subjects=list("aabcc"))
    a, b = rows.packed(), fresh.packed()
    assert a.keys() == b.keys()
    for name in a:
        assert np.asarray(a[name]).tolist() == np.asarray(b[name]).tolist(), name
    assert rows.placement_keys()[3:] == fresh.placement_keys()[2:]


def test_names_are_keyed_and_numbers_and_their_words_are_one_name() -> None:
    rows = Rows(np.eye(3), None, SALT, subjects=[7, "7", np.int64(8)], records=["x", "y", "z"])
    assert rows.find(["7"], None).tolist() == [0, 1]
    assert rows.find([7], ["z"]).tolist() == [0, 1, 2]
    assert b"xyz" not in pickle.dumps(rows)


def test_a_subject_without_records_left_is_unknown_and_its_name_is_gone() -> None:
    rows = Rows(np.eye(4), None, SALT, subjects=["a", ("a", "b"), ("b", "c"), "c"])
    name = rows.subject_names()[0][0]
    assert name in pickle.dumps(rows)
    rows.wipe(rows.find(["a"], None))
    assert name not in pickle.dumps(rows)
    assert rows.find(["b"], None).tolist() == [2]
    with pytest.raises(UnknownSubject):
        rows.find(["a"], None)


def test_rows_keep_their_numbers_and_tell_forgotten_from_unknown() -> None:
    rows = Rows(np.eye(4), None, SALT)
    rows.wipe(np.array([1]))
    assert rows.find(None, [2]).tolist() == [2]
    with pytest.raises(AlreadyForgotten):
        rows.find(None, [1])
    with pytest.raises(UnknownRecord):
        rows.find(None, [4])
    with pytest.raises(UnknownRecord):
        rows.find(None, [True])
    again = Rows.unpacked({**rows.packed(), **rows.lineage()}, SALT)
    assert again.find(None, [2]).tolist() == [1]
    with pytest.raises(AlreadyForgotten):
        again.find(None, [1])


@pytest.mark.parametrize("subjects", [["a", None, "b"], ["a", "", "b"], ["a", float("nan"), "b"], ["a", (), "b"]])
def test_a_record_without_a_subject_is_refused(subjects: list[object]) -> None:
    with pytest.raises(InvalidData, match=r"no subject|names nobody"):
        Rows(np.eye(3), None, SALT, subjects=subjects)


def test_an_interrupted_wipe_is_finished_by_doing_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from expunge.exact import MultinomialNB
    from expunge.exact._learner import rows as _rows

    X, y, who = np.eye(6), np.arange(6) % 2, list("aabbcc")
    model = MultinomialNB(salt=SALT).fit(X, y, subjects=who, records=list("uvwxyz"))
    real, calls = _rows._overwritten, []

    def once(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(_rows, "_overwritten", once)
    with pytest.raises(KeyboardInterrupt):
        model.forget(subjects=["b"])
    keep = [0, 1, 4, 5]
    fresh = MultinomialNB(salt=SALT).fit(X[keep], y[keep], subjects=list("aacc"), records=list("uvyz"))
    assert model.digest() == fresh.digest()


def test_the_name_of_a_subject_does_not_depend_on_who_comes_before() -> None:
    """1, 1.0 and True are one key of a dict, but not one name."""
    for who in ([1.0, 1, True], [1, True, 1.0], [True, 1.0, 1]):
        rows = Rows(np.eye(3), None, SALT, subjects=who)
        alone = [Rows(np.eye(1), None, SALT, subjects=[one]).subject_names()[0] for one in who]
        assert rows.subject_names() == alone
        assert rows.find([who[2]], None).tolist() == [2]


@pytest.mark.parametrize(
    "given",
    ["abc", {"a", "b", "c"}, dict.fromkeys("abc"), 3, np.array("abc"), np.eye(3), pd.DataFrame({"a": range(3)})],
    ids=lambda given: type(given).__name__,
)
def test_what_has_no_order_of_rows_is_refused(given: object) -> None:
    with pytest.raises(InvalidData, match="one entry a row"):
        Rows(np.eye(3), None, SALT, subjects=given)
    with pytest.raises(InvalidData, match="one entry a row"):
        Rows(np.eye(3), None, SALT, records=given)


@pytest.mark.parametrize("given", [iter("abc"), np.array(list("abc")), pd.Series(list("abc"), index=[7, 8, 9])])
def test_anything_in_order_names_rows(given: object) -> None:
    assert Rows(np.eye(3), None, SALT, subjects=given).find(["b"], None).tolist() == [1]


@pytest.mark.parametrize("wrong", [[["a"], "b", "c"], [pd.NA, "b", "c"], [pd.NaT, "b", "c"], [[["a"]], "b", "c"]])
def test_names_that_are_none_are_refused_by_type(wrong: list[object]) -> None:
    if wrong[0] == ["a"]:
        assert Rows(np.eye(3), None, SALT, subjects=wrong).find(["a"], None).tolist() == [0]  # a list of one name
        return
    with pytest.raises(InvalidData, match="subject"):
        Rows(np.eye(3), None, SALT, subjects=wrong)


def test_file_names_that_are_no_text_are_names_all_the_same() -> None:
    assert Rows(np.eye(2), None, SALT, records=["a\udcff", "b"]).find(None, ["a\udcff"]).tolist() == [0]


def test_a_name_is_found_however_its_letters_are_composed() -> None:
    composed, apart = "Jos\u00e9", "Jose\u0301"
    rows = Rows(np.zeros((4, 1)), None, SALT, [composed, apart, "Ann", f" {composed} "])
    for name in (composed, apart):
        assert rows.find([name], None).tolist() == [0, 1, 3]
