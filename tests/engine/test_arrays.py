"""Rows of arrays: what they are named by, and which classes are taken."""

import pytest
import torch

from expunge.core.errors import InvalidData
from expunge.engine import examples

NAMES = (  # as Expunge 0.1.0 wrote them: an edit draws rows in the order of their names
    "aca870d7442d3470e56702dfe86adc236de0cfc6c79334af8be19324ee35377f/1",
    "e9ef8e6739a2338886d607f0a258f7dac6ff33821053fad3cdaca125cf3300e9/1",
    "e9ef8e6739a2338886d607f0a258f7dac6ff33821053fad3cdaca125cf3300e9/2",
    "41410ae1a792c1e7a1a4f1fa0ca820a1501c10a5984bfcea5101dbe4663ed4c8/1",
)


def test_rows_keep_the_names_that_earlier_edits_drew_them_by() -> None:
    padded = {
        "input_ids": torch.tensor([[5, 6, 0], [7, 8, 9]]),
        "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]]),
    }
    rows = [
        examples(torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 1]))[0],
        *examples(torch.zeros(2, 2, dtype=torch.bfloat16), [1, 1]),
        examples(padded, [0, 1])[0],
    ]
    assert tuple(row.id.removeprefix("sha256:") for row in rows) == NAMES


@pytest.mark.parametrize("wrong", [1.5, float("nan"), float("inf")])
def test_a_class_that_is_no_whole_number_is_refused(wrong: float) -> None:
    """Cut to a whole number it would be another class."""
    x = torch.zeros(3, 2)
    with pytest.raises(InvalidData, match="classes are whole numbers"):
        examples(x, [0.0, wrong, 2.0])
    assert [row.y for row in examples(x, [0.0, 1.0, 2.0])] == [0, 1, 2]
