import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer as Reference

from expunge.core.errors import InvalidData, InvalidParameter, NothingLeft
from expunge.exact import TfidfVectorizer

SALT = b"salt"
SETTINGS: list[dict[str, Any]] = [
    {},
    {"sublinear_tf": True, "norm": "l1"},
    {"norm": None, "smooth_idf": False},
    {"ngram_range": (1, 2), "stop_words": "english"},
    {"analyzer": "char_wb", "ngram_range": (2, 3), "lowercase": False},
    {"min_df": 3, "max_df": 0.5},
    {"min_df": 0.1, "stop_words": ["alpha"]},
]


def texts(n: int = 60) -> list[str]:
    rng = np.random.default_rng(0)
    words = ["Alpha", "beta", "gamma", "delta", "the", "of", "Überzahl", "naïve"]
    return [" ".join(rng.choice(words, rng.integers(2, 9))) + f" secret{i}" * (i % 5 == 0) for i in range(n)]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_agrees_with_scikit_learn_on_the_texts_that_stay(settings: dict[str, Any]) -> None:
    X = texts()
    rest = [x for i, x in enumerate(X) if i % 4]
    model = TfidfVectorizer(**settings, salt=SALT).fit(X)
    before = model.transform(X)
    model.forget(records=list(range(0, 60, 4)))
    reference = Reference(**settings).fit(rest)
    assert model.get_feature_names_out().tolist() == reference.get_feature_names_out().tolist()
    assert model.vocabulary_ == reference.vocabulary_
    assert (model.idf_ == reference.idf_).all()
    wanted = reference.transform(X)
    np.testing.assert_allclose(model.transform(X).toarray(), wanted.toarray(), rtol=1e-15)
    assert before.shape != wanted.shape or abs(before - wanted).max() > 1e-4, "the control"


def test_a_word_leaves_with_its_last_text_and_not_before() -> None:
    model = TfidfVectorizer(salt=SALT).fit(["alpha beta", "beta gamma", "beta beta", "gamma"])
    model.forget(records=[0])
    assert list(model.vocabulary_) == ["beta", "gamma"]
    model.forget(records=[1])
    assert list(model.vocabulary_) == ["beta", "gamma"]
    model.forget(records=[2])
    assert list(model.vocabulary_) == ["gamma"]


def test_a_word_can_come_back_when_others_leave() -> None:
    """A word in all texts is above max_df; once enough texts that hold it left, it is not."""
    X = ["alpha beta", "alpha", "alpha gamma", "beta gamma", "gamma"]
    model = TfidfVectorizer(max_df=0.5, salt=SALT).fit(X)
    assert list(model.vocabulary_) == ["beta"]
    model.forget(records=[1, 2])
    assert list(model.vocabulary_) == list(Reference(max_df=0.5).fit([X[0], X[3], X[4]]).vocabulary_) == ["alpha"]


def test_texts_without_a_word_to_use_are_refused_and_nothing_changes() -> None:
    with pytest.raises(InvalidData, match="empty vocabulary"):
        TfidfVectorizer().fit(["", "a"])
    with pytest.raises(InvalidData, match="min_df"):
        TfidfVectorizer(min_df=2).fit(["alpha", "beta"])
    model = TfidfVectorizer(salt=SALT).fit(["alpha", "", "a"])
    before = model.digest()
    with pytest.raises(NothingLeft, match="no word"):
        model.forget(records=[0])
    assert model.digest() == before


@pytest.mark.parametrize("X", ["one text", ["alpha", None], ["alpha", 3], [], 7])
def test_what_is_no_list_of_texts_is_refused(X: Any) -> None:
    with pytest.raises(InvalidData):
        TfidfVectorizer().fit(X)


@pytest.mark.parametrize("settings", [{"analyzer": "sentence"}, {"norm": "l3"}, {"ngram_range": (2, 1)}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        TfidfVectorizer(**settings).fit(texts())


def test_a_plan_says_that_learners_of_the_output_have_to_be_fitted_again() -> None:
    (note,) = TfidfVectorizer(salt=SALT).fit(texts()).plan(records=[0]).notes
    assert "retrain" in note


def test_a_deleted_word_is_nowhere(tmp_path: Path) -> None:
    model = TfidfVectorizer(salt=SALT).fit(texts())
    model.transform(texts())

    def held() -> bytes:
        model.save(tmp_path / "m")
        files = [path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()]
        return pickle.dumps(model) + b"".join(files)

    assert b"secret10" in held(), "the control"
    model.forget(records=[10])
    assert b"secret10" not in held()
    assert b"secret20" in held()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_df": -3},
        {"min_df": "a"},
        {"max_df": 1.5},
        {"max_df": 0},
        {"ngram_range": 5},
        {"token_pattern": "("},
        {"stop_words": "klingon"},
    ],
)
def test_parameters_that_are_none_are_refused_by_type(wrong: dict[str, Any]) -> None:
    with pytest.raises((InvalidParameter, InvalidData)):
        TfidfVectorizer(**wrong).fit(["alpha beta", "beta gamma"])


def test_half_a_character_is_held_and_saved_as_it_is(tmp_path: Path) -> None:
    model = TfidfVectorizer(salt=b"s").fit(["alpha be\ud800ta", "beta gamma"])
    model.save(tmp_path)
    assert TfidfVectorizer.load(tmp_path, salt=b"s").digest() == model.digest()
