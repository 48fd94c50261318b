"""A record named by its place leaves as one named by its id does, before and after others left."""

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from expunge.core.errors import UnknownRecord
from expunge.exact import MultinomialNB, Place, Sisa

SALT = b"s" * 32
IDS = [f"r{k}" for k in range(30)]


def fitted(kind: type = MultinomialNB) -> MultinomialNB:
    draw = np.random.default_rng(3)
    X, y = draw.integers(0, 9, (30, 4)).astype(float), np.arange(30) % 2
    learner = (
        Sisa(SGDClassifier(loss="log_loss"), shards=3, slices=2, epochs=24, workers=1, salt=SALT)
        if kind is Sisa
        else kind(salt=SALT)
    )
    return learner.fit(X, y, subjects=[f"p{k % 7}" for k in range(30)], records=IDS)


@pytest.mark.parametrize("kind", [MultinomialNB, Sisa])
def test_by_place_and_by_id_are_the_same(kind: type) -> None:
    by_id, by_place = fitted(kind), fitted(kind)
    held = list(IDS)
    for gone in (["r3", "r17"], ["r0", "r29"], ["r4"]):
        by_id.forget(records=gone)
        places = [held.index(one) for one in gone]
        assert by_place.places(gone) == places
        by_place.forget(records=[Place(k) for k in places])
        held = [one for one in held if one not in gone]
        assert by_place.digest() == by_id.digest()
        assert by_place.tombstones == by_id.tombstones
        assert by_place.places(held) == list(range(len(held)))
    if kind is Sisa:
        assert by_place.members([Place(k) for k in range(len(held))]) == by_id.members(held)


@pytest.mark.parametrize("number", [-1, 30])
def test_a_place_that_is_none_is_refused(number: int) -> None:
    learner = fitted()
    before = learner.digest()
    with pytest.raises(UnknownRecord):
        learner.forget(records=[Place(number)])
    assert learner.digest() == before
