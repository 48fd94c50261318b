"""Stages of training in a folder: found by what decides them, whole or not there."""

import errno
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from expunge.core.digests import sha256_file
from expunge.core.errors import StorageFull, UnreadableModel
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


@pytest.mark.parametrize("damage", ["half", "trained 7", ""], ids=["cut short", "it still loads", "nothing"])
def test_a_damaged_stage_is_trained_again(tmp_path: Path, damage: str) -> None:
    training, stages = Training(), Stages(tmp_path)
    training.of(stages, "key")
    (finished,) = tmp_path.glob("key.*.stage")
    finished.write_text(damage)
    assert training.of(stages, "key") == "trained 2"
    assert training.of(stages, "key") == "trained 2"
    assert len(list(tmp_path.iterdir())) == 1, "the damaged file stays"


@pytest.mark.parametrize("threads", [2, 8])
def test_two_that_train_the_same_stage_at_once_both_end_right(tmp_path: Path, threads: int) -> None:
    """Each writes slowly, a byte after the other, and would find the other's half under a name that both used."""
    together = Barrier(threads)

    def train(_: Path | None) -> bytes:
        together.wait()
        return bytes(range(64))

    def write(stage: bytes, path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            for byte in stage:
                file.write(bytes([byte]))
                time.sleep(0)

    run = lambda _: Stages(tmp_path).run("key", train, Path.read_bytes, write)
    with ThreadPoolExecutor(threads) as pool:
        assert set(pool.map(run, range(threads))) == {bytes(range(64))}
    assert run(0) == bytes(range(64)), "found without training, which would wait for another"
    assert [p.name.split(".")[0] for p in tmp_path.iterdir()] == ["key"]


def test_two_processes_in_one_folder_both_end_right(tmp_path: Path) -> None:
    """Many stages, so that they meet: what either returns is what was trained, and what lies there in the end is whole."""
    script = """if True:
        import sys
        from pathlib import Path
        from expunge.engine import Stages

        for key in range(200):
            stage = bytes([key]) * 20_000
            ran = Stages(Path(sys.argv[1])).run(f"k{key}", lambda _: stage, Path.read_bytes, lambda s, p: p.write_bytes(s))
            assert ran == stage, key
    """
    both = [subprocess.Popen([sys.executable, "-c", script, tmp_path]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(found := list(tmp_path.iterdir())) == 200
    assert all(sha256_file(path) == path.name.split(".")[1] for path in found)


_FULL = {
    "the system's": OSError(errno.ENOSPC, "No space left on device"),
    "of a quota": OSError(errno.EDQUOT, "Disk quota exceeded"),
    "of a library in Rust": SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
}


@pytest.mark.parametrize("refusal", _FULL.values(), ids=_FULL.keys())
def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(tmp_path: Path, refusal: Exception) -> None:
    def write(stage: str, path: Path) -> None:
        path.write_text(stage[:3])
        raise refusal

    with pytest.raises(StorageFull, match=rf"{tmp_path / 'work'}; free some space and try again"):
        Stages(tmp_path / "work").run("key", lambda _: "trained", _read, write)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_disk_that_is_full_says_so(tmp_path: Path) -> None:
    """The real one, where this machine lets a small one be mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        big = {"w": torch.zeros(100_000)}
        for write in (save_file, lambda stage, path: path.write_bytes(stage["w"].numpy().tobytes())):
            with pytest.raises(StorageFull, match=f"{tmp_path}; free some space"):
                Stages(tmp_path).run("key", lambda _: big, Path.read_bytes, write)
            assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


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
    for name in ("key.d1.stage", "key.d2.part", ".key.stage.1.tmp", "other.d3.stage"):
        (tmp_path / name).write_text("")
    assert Stages(tmp_path).discard(["key"]) == [".key.stage.1.tmp", "key.d1.stage", "key.d2.part"]
    assert [p.name for p in tmp_path.iterdir()] == ["other.d3.stage"]
