from itertools import product

import pytest

from expunge.core.errors import InvalidParameter
from expunge.synthetic.attributes import ATTRIBUTES
from expunge.synthetic.names import ENDING, FIRST, HOUSE, LAST, MIDDLE, STRANGE, stranger

OURS = {"".join(p) for p in product(HOUSE, ENDING)} | {"".join(p) for p in product(FIRST, MIDDLE, LAST)}
STRANGERS = {"".join(p) for p in product(HOUSE, STRANGE)} | {"".join(p) for p in product(FIRST, MIDDLE, STRANGE)}


def test_a_stranger_is_nobody_who_can_be_trained_on() -> None:
    assert not OURS & STRANGERS
    for n_words in (1, 2, 3):
        for k in range(200):
            assert stranger(f"{k}", n_words, 15).split()[-1] in STRANGERS


def test_no_stranger_bears_a_value() -> None:
    values = {v.casefold() for a in ATTRIBUTES for v in a.pool}
    names = " ".join(STRANGERS).casefold()
    assert not [v for v in values if v in names]


def test_a_name_matches_in_words_and_nearly_in_length() -> None:
    for n_words, length in ((1, 8), (2, 14), (2, 19), (3, 27)):
        for k in range(50):
            name = stranger(f"{k}", n_words, length)
            assert len(name.split()) == n_words
            assert abs(len(name) - length) <= 2
    assert len(stranger("long", 9, 60).split()) == 4


def test_no_word_that_is_taken_is_used() -> None:
    first = stranger("k", 2, 15)
    for word in first.casefold().split():
        assert word not in stranger("k", 2, 15, {word}).casefold().split()
    assert stranger("k", 2, 15, {first.casefold()}) != first
    with pytest.raises(InvalidParameter, match="none of 200"):
        stranger("k", 2, 15, {"".join(p).casefold() for p in product(HOUSE, STRANGE)})
