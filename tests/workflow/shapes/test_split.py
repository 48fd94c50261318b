"""Rows are named by what they hold, whatever it is, and belong to everybody they name."""

import numpy as np
import pytest
import torch

import expunge
from expunge.core.errors import InvalidData


def _members(rows: list[dict[str, object]]) -> set[str]:
    return {
        name
        for unit in expunge.split(rows, subject="who", shards=1, salt=b"s")
        for part in unit.members
        for name in part
    }


def _load() -> list[dict[str, object]]:
    image = pytest.importorskip("PIL.Image")
    return [{"who": f"p{i}", "image": image.fromarray(np.full((8, 8, 3), i, dtype=np.uint8))} for i in range(8)]


def test_images_have_the_same_names_in_every_load() -> None:
    assert _members(_load()) == _members(_load())
    assert len(_members(_load())) == 8


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_long_arrays_that_differ_in_one_number_are_two_records(kind: object) -> None:
    assert callable(kind)
    one, other = [0.0] * 5000, [0.0] * 5000
    other[2500] = 1.0
    rows: list[dict[str, object]] = [{"who": "p", "x": kind(one)}, {"who": "p", "x": kind(other)}]
    assert len(_members(rows)) == 2


def test_a_list_of_names_is_several_people() -> None:
    rows: list[dict[str, object]] = [{"who": ["ann", "bob"], "x": 1}, *({"who": "bob", "x": i} for i in range(2, 9))]
    units = list(expunge.split(rows, subject="who", shards=4, salt=b"s"))
    (home,) = {unit.id for unit in units if any(row["x"] == 1 for row in unit.dataset)}
    alone = {
        unit.id
        for name in ("ann", "bob")
        for unit in expunge.split([{"who": name, "x": 1}], subject="who", shards=4, salt=b"s")
    }
    assert home in alone
    with pytest.raises(InvalidData, match="list of names is empty"):
        list(expunge.split([{"who": [], "x": 1}], subject="who", shards=1, salt=b"s"))


def test_equal_rows_are_all_there_and_carry_no_count() -> None:
    rows: list[dict[str, object]] = [{"who": "ann", "x": 1}, {"who": "bob", "x": 2}, {"who": "ann", "x": 1}]
    (unit,) = expunge.split(rows, subject="who", shards=1, salt=b"s")
    assert sorted(row["x"] for row in unit.dataset) == [1, 1, 2]
    assert len(set(unit.members[0])) == 2
    (fewer,) = expunge.split(rows[1:], subject="who", shards=1, salt=b"s")
    assert set(fewer.members[0]) == set(unit.members[0])


def test_a_row_that_cannot_be_named_is_refused() -> None:
    with pytest.raises(InvalidData, match=r"row 2 cannot be named by its content.*generator"):
        _members([{"who": "p", "x": 1}, {"who": "p", "x": (i for i in range(3))}])


@pytest.mark.parametrize("nobody", [None, float("nan"), "", " ", ["ann", None], ["ann", ""]], ids=repr)
def test_what_names_nobody_is_refused_by_its_row(nobody: object) -> None:
    with pytest.raises(InvalidData, match=r"row 2, 'who': .* names nobody"):
        _members([{"who": "p", "x": 1}, {"who": nobody, "x": 2}])
    assert len(_members([{"who": 7, "x": 1}, {"who": "None", "x": 2}])) == 2, "the control: numbers and texts are names"
