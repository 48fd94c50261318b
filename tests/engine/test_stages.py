"""Stages of training in a folder: found by what decides them, whole or not there."""

from dataclasses import replace
from pathlib import Path

import pytest

from expunge.core.errors import UnreadableModel
from expunge.core.recipe import Recipe
from expunge.engine import Stages, stage_key

RECIPE = Recipe({"lr": 1}, {"torch": "1"}, "sha256:canary")


class Training:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.ran = 0

    def of(self, stages: Stages, key: str) -> str:
        def train(_: Path | None) -> str:
            self.ran += 1
            return f"trained {self.ran}"

        return stages.run(key, train, _read, lambda stage, path: path.write_text(stage))


def _read(path: Path) -> str:
    if not (found := path.read_text()).startswith("trained"):
        raise UnreadableModel("damaged")
    return found


@pytest.mark.parametrize(
    ("other", "secret", "content"),
    [
        (replace(RECIPE, settings={"lr": 2}), b"s", ["a"]),
        (replace(RECIPE, environment={"torch": "2"}), b"s", ["a"]),
        (replace(RECIPE, canary="sha256:other"), b"s", ["a"]),
        (RECIPE, b"t", ["a"]),
        (RECIPE, b"s", ["b"]),
    ],
    ids=["settings", "environment", "canary", "secret", "records"],
)
def test_a_stage_of_anything_else_is_never_served(
    tmp_path: Path, other: Recipe, secret: bytes, content: object
) -> None:
    training, stages = Training(), Stages(tmp_path)
    key = stage_key(RECIPE, b"s", ["a"])
    assert [training.of(stages, key) for _ in range(2)] == ["trained 1"] * 2
    assert training.of(stages, stage_key(other, secret, content)) == "trained 2"


def test_without_a_folder_nothing_is_kept() -> None:
    training = Training()
    assert [training.of(Stages(), "key") for _ in range(2)] == ["trained 1", "trained 2"]


def test_a_damaged_stage_is_trained_again(tmp_path: Path) -> None:
    training, stages = Training(), Stages(tmp_path)
    training.of(stages, "key")
    (tmp_path / "key.stage").write_text("half")
    assert training.of(stages, "key") == "trained 2"
    assert training.of(stages, "key") == "trained 2"


def test_training_that_stops_leaves_no_finished_stage(tmp_path: Path) -> None:
    def stops(place: Path | None) -> str:
        assert place is not None
        place.write_text("a checkpoint")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path).run("key", stops, _read, lambda stage, path: path.write_text(stage))
    assert [p.name for p in tmp_path.iterdir()] == ["key.part"]
    assert Training().of(Stages(tmp_path), "key") == "trained 1"


def test_what_is_discarded_is_gone_finished_begun_or_half_written(tmp_path: Path) -> None:
    for name in ("key.stage", "key.part", ".key.stage.tmp", "other.stage"):
        (tmp_path / name).write_text("")
    assert Stages(tmp_path).discard(["key"]) == [".key.stage.tmp", "key.part", "key.stage"]
    assert [p.name for p in tmp_path.iterdir()] == ["other.stage"]
