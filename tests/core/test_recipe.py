"""A recipe refuses what it names and finds otherwise, and what only its canary shows."""

from dataclasses import replace

import pytest

from expunge.core.errors import RecipeMismatch
from expunge.core.recipe import Recipe

HERE = Recipe({"lr": 0.1, "base": {"config": "a"}}, {"threads": 1, "libraries": {"numpy": "2"}}, "sha256:canary")


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (replace(HERE, settings={"lr": 0.2}), r"lr was 0\.2, is 0\.1"),
        (replace(HERE, settings={"base": {"config": "b"}}), r"base\.config was 'b', is 'a'"),
        (replace(HERE, environment={"libraries": {"numpy": "1"}}), r"libraries\.numpy was '1', is '2'"),
        (replace(HERE, environment={"gpu": "one"}), r"gpu was 'one', is None"),
        (replace(HERE, canary="sha256:other"), "nothing that is recorded says why"),
    ],
)
def test_what_differs_is_named(there: Recipe, named: str) -> None:
    with pytest.raises(RecipeMismatch, match=named):
        there.require(HERE)


def test_a_canary_that_can_no_longer_be_run_is_no_match_and_the_reason_is_given() -> None:
    with pytest.raises(RecipeMismatch, match="could not be run here: it was not tried"):
        HERE.require(replace(HERE, canary=None))
    with pytest.raises(RecipeMismatch, match=r"could not be run here: ZeroDivisionError: .* At the fit it could"):
        HERE.require(HERE.tried(lambda: str(1 / 0)))


def test_why_a_canary_is_silent_decides_nothing() -> None:
    silent = HERE.tried(lambda: str(1 / 0))
    assert silent.silence
    assert silent == replace(HERE, canary=None)
    assert silent.digest() == replace(HERE, canary=None).digest()
    silent.require(HERE)  # what was not run at the fit is not asked for


def test_what_was_not_recorded_is_not_asked_for() -> None:
    replace(HERE, environment={"threads": 1}, canary=None).require(HERE)
    HERE.require(HERE)


def test_every_part_is_in_the_digest() -> None:
    parts = (HERE, replace(HERE, settings={}), replace(HERE, environment={}), replace(HERE, canary=None))
    assert len({recipe.digest() for recipe in parts}) == 4
