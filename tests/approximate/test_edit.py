from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.approximate._edit import Edit, run_edit
from expunge.approximate.npo import NPO
from expunge.core.errors import EmptyForgetSet, InvalidData, InvalidParameter
from expunge.engine import digest_model

SETTINGS = Edit(steps=6, warmup=1, forget_batch=4, retain_batch=4, every=2)


def edit(given: Any, settings: Edit = SETTINGS, **rest: Any) -> str:
    edited = run_edit(given.model, given.tokenizer, given.forget, given.retain, NPO(), settings, **rest)
    return digest_model(edited.model)


@pytest.fixture
def interrupted(trained: Any, tmp_path: Path) -> Path:
    """The checkpoint of an edit that was stopped at its fourth step."""
    folder = tmp_path / "edit"

    def stop(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(trained, folder=folder, progress=stop)
    assert (folder / "edit.part").exists()
    return folder


def test_a_stopped_edit_goes_on_to_the_same_bits(trained: Any, interrupted: Path) -> None:
    steps: list[int] = []
    expected = edit(trained)
    assert edit(trained, folder=interrupted, progress=lambda done, _: steps.append(done)) == expected
    assert steps == [5, 6]


def test_the_checkpoint_of_another_edit_is_not_continued(trained: Any, interrupted: Path) -> None:
    other = replace(SETTINGS, seed=1)
    assert edit(trained, other, folder=interrupted) == edit(trained, other)


def test_another_seed_draws_other_rows(trained: Any) -> None:
    assert edit(trained) != edit(trained, replace(SETTINGS, seed=1))


def test_sets_that_cannot_be_told_apart_are_refused(trained: Any) -> None:
    forget, retain = list(trained.forget[:3]), list(trained.retain[:3])
    twin = replace(retain[1], id=retain[0].id)
    cases: list[tuple[Any, Any, type[Exception]]] = [
        ([], retain, EmptyForgetSet),
        (forget, [], InvalidData),
        (forget, [*retain, replace(forget[0], id="new")], InvalidData),
        ([*forget, forget[0]], retain, InvalidData),
        (forget, [retain[0], twin], InvalidData),
    ]
    for f, r, error in cases:
        with pytest.raises(error):
            run_edit(trained.model, trained.tokenizer, f, r, NPO(), SETTINGS)


@pytest.mark.parametrize("wrong", ["steps", "forget_batch", "retain_batch", "threads"])
def test_settings_out_of_range_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidParameter):
        Edit(**{wrong: 0})
