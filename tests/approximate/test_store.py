from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expunge.approximate._draws import draws
from expunge.approximate._likelihood import Likelihood
from expunge.approximate._settings import Edit
from expunge.approximate._snapshot import Snapshot, save_whole
from expunge.approximate._stage import Stage
from expunge.approximate._store import Descent, Store
from expunge.core.digested import find_digested
from expunge.core.errors import InvalidParameter
from expunge.core.recipe import Recipe
from expunge.engine import Resume, Schedule, examples

ROWS = examples(torch.zeros(6, 2), torch.arange(6) % 2)


def stage(**changes: Any) -> Stage:
    whole = Stage(
        name="one",
        objective=Likelihood("retain"),
        model=nn.Linear(2, 2),
        draws=draws(ROWS[:2], ROWS[2:], 3, "one", Edit(forget_batch=1, retain_batch=2)),
        schedule=Schedule(lr=0.1),
        guarded=False,
        mask=None,
    )
    return replace(whole, **changes)


class Training:
    """Fills the weights with how often it was asked."""

    def __init__(self) -> None:
        self.ran = 0

    def of(self, stage: Stage) -> Any:
        def train(resume: Resume | None) -> Descent:
            self.ran += 1
            nn.init.constant_(stage.model.weight, float(self.ran))
            return Descent([1.0, 2.0], ["something happened"], 7)

        return train


def test_a_finished_stage_is_not_run_again(tmp_path: Path) -> None:
    training, store = Training(), Store(tmp_path / "e", 5)
    first, again = stage(), stage()
    assert store.run(first, training.of(first)) == Descent([1.0, 2.0], ["something happened"], 7)
    assert store.run(again, training.of(again)) == Descent([], ["something happened"], 7)
    assert training.ran == 1
    assert torch.equal(first.model.weight, again.model.weight)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": Likelihood("forget")},
        {"schedule": Schedule(lr=0.2)},
        {"draws": stage().draws[:2]},
        {"draws": [draw._replace(retain=draw.retain[::-1]) for draw in stage().draws]},
        {"draws": [draw._replace(forget=[replace(row, y=1 - row.y) for row in draw.forget]) for draw in stage().draws]},
    ],
    ids=["another loss", "another rate", "fewer steps", "another order", "another class"],
)
def test_a_stage_of_other_content_is_run(tmp_path: Path, changes: dict[str, Any]) -> None:
    training, store = Training(), Store(tmp_path, 5)
    for one in (stage(), stage(**changes)):
        store.run(one, training.of(one))
    assert training.ran == 2


def test_a_stage_of_other_libraries_is_run_again(tmp_path: Path) -> None:
    training = Training()
    for environment in ({"torch": "1"}, {"torch": "1"}, {"torch": "2"}):
        one = stage()
        Store(tmp_path, 5, Recipe(environment=environment)).run(one, training.of(one))
    assert training.ran == 2


def test_a_damaged_stage_is_run_again_whichever_bit_flipped(tmp_path: Path) -> None:
    training, store = Training(), Store(tmp_path, 5)
    one = stage()
    store.run(one, training.of(one))
    n = len(next(tmp_path.iterdir()).read_bytes())
    for ran, i in enumerate(range(0, n, 7), start=2):
        (path,) = tmp_path.iterdir()
        data = path.read_bytes()
        path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        assert store.run(one, training.of(one)).losses == [1.0, 2.0]
        assert training.ran == ran


def test_without_a_folder_nothing_is_kept() -> None:
    training, store = Training(), Store(None, 5)
    for one in (stage(), stage()):
        assert store.run(one, training.of(one)).losses == [1.0, 2.0]
    assert training.ran == 2
    assert store.path("anything") is None


def test_the_folder_belongs_to_one_edit(tmp_path: Path) -> None:
    store = Store(tmp_path / "e", 5)
    store.claim("mine")
    (tmp_path / "e" / "state").write_text("")
    store.claim("mine")
    assert (tmp_path / "e" / "state").exists()
    store.claim("another's")
    assert not (tmp_path / "e" / "state").exists()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "thesis.txt").write_text("")
    with pytest.raises(InvalidParameter, match="holds other files"):
        Store(tmp_path / "f", 5).claim("mine")
    assert (tmp_path / "f" / "thesis.txt").exists()
    store.clear()
    assert not (tmp_path / "e").exists()


def test_a_snapshot_is_there_for_a_process_after_a_kill(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    weights = dict(model.named_parameters())
    assert Snapshot(tmp_path / "s.safetensors").label() is None
    good = model.weight.detach().clone()
    before = Snapshot(tmp_path / "s.safetensors")
    before.take(weights, "7")
    assert not list(tmp_path.iterdir())  # a file of all weights is written when it is asked for
    before.write()
    nn.init.zeros_(model.weight)
    found = Snapshot(tmp_path / "s.safetensors")
    assert found.label() == "7"
    found.restore(weights)
    assert torch.equal(model.weight, good)


def test_what_was_there_stays_if_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.safetensors"
    save_whole({"p": torch.ones(1)}, path, {})
    before = find_digested(path)

    def breaks(state: Any, at: Path, metadata: Any) -> None:
        at.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("expunge.approximate._snapshot.save_file", breaks)
    with pytest.raises(KeyboardInterrupt):
        save_whole({"p": torch.zeros(1)}, path, {})
    assert find_digested(path) == before is not None
    assert list(tmp_path.iterdir()) == [before]
