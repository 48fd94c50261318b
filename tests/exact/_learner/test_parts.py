"""A saved learner is whole at every instant, holds no pickle, and nothing of what left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expunge import exact
from expunge.core.errors import DigestMismatch, InvalidData, StorageFull, UnreadableModel
from expunge.exact import MultinomialNB
from expunge.exact._learner import parts as _parts
from expunge.testing.tabular import SALT, counts

TABLE = counts(1)


class Killed(BaseException):
    """Stands for a process that ends here."""


def fitted() -> Any:
    return TABLE.fit(MultinomialNB(salt=SALT))


@pytest.mark.parametrize("instant", range(1, 12))
def test_a_kill_at_any_instant_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: int
) -> None:
    model, folder = fitted(), tmp_path / "m"
    model.save(folder)
    old = model.digest()
    model.forget(records=[0, 1])
    new = model.digest()
    steps = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == instant:
                raise Killed
            return real(*arguments, **more)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counted(os.replace))
        patch.setattr(os, "fsync", counted(os.fsync))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        try:
            model.save(folder)
        except Killed:
            killed = True
        else:
            killed = False
    found = MultinomialNB.load(folder, salt=SALT)
    assert found.digest() in ((old, new) if killed else (new,))
    if found.digest() == old:
        found.forget(records=[0, 1])  # the same command again
        found.save(folder)
    named = set(json.loads((folder / "expunge.json").read_text())["parts"].values())
    there = {f"sha256:{p.name}" for p in (folder / "parts").iterdir()}
    assert there == named, "no part with a forgotten record is left"


def test_the_kills_above_reach_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without a kill a save of a changed state takes about that many steps."""
    model, calls = fitted(), []
    model.save(tmp_path / "m")
    model.forget(records=[0])
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append(a), replace(*a)))
    model.save(tmp_path / "m")
    assert len(calls) == 4  # three parts and the description


SAVER = """
import sys
from expunge.exact import MultinomialNB
folder, salt = sys.argv[1], bytes.fromhex(sys.argv[2])
while True:
    for i in range(50):
        model = MultinomialNB.load(folder, salt=salt)
        try:
            model.forget(records=[i])
        except Exception:
            continue
        model.save(folder)
        print(i, flush=True)
"""


@pytest.mark.parametrize("delay_s", [0.0, 0.003, 0.011])
def test_a_killed_process_leaves_a_model_that_loads(tmp_path: Path, delay_s: float) -> None:
    model = fitted()
    model.save(tmp_path / "m")
    command = [sys.executable, "-c", SAVER, str(tmp_path / "m"), SALT.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
    found = MultinomialNB.load(tmp_path / "m", salt=SALT)
    gone = 60 - found.n_records
    assert gone >= 1
    model.forget(records=list(range(gone)))
    assert model.digest() == found.digest()


def test_a_full_disk_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted()
    model.save(tmp_path / "m")
    old = model.digest()
    model.forget(records=[0])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull):
            model.save(tmp_path / "m")
    assert MultinomialNB.load(tmp_path / "m", salt=SALT).digest() == old


def test_altered_missing_and_foreign_parts_are_refused(tmp_path: Path) -> None:
    model, folder = fitted(), tmp_path / "m"
    model.save(folder)
    with pytest.raises(DigestMismatch, match="salt"):
        MultinomialNB.load(folder, salt=b"another")
    assert exact.load(folder, salt=SALT).digest() == model.digest()
    part = next((folder / "parts").iterdir())
    whole = part.read_bytes()
    for broken in (whole[:-1], b"", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        part.write_bytes(broken)
        with pytest.raises(DigestMismatch):
            MultinomialNB.load(folder, salt=SALT)
    part.unlink()
    with pytest.raises(UnreadableModel):
        MultinomialNB.load(folder, salt=SALT)
    part.write_bytes(whole)
    described = json.loads((folder / "expunge.json").read_text())
    for wrong in ({**described, "kind": "ridge"}, {**described, "digest": "sha256:0"}):
        (folder / "expunge.json").write_text(json.dumps(wrong))
        with pytest.raises(DigestMismatch):
            MultinomialNB.load(folder, salt=SALT)
    for wrong in ({**described, "parts": {"rows": "../../etc/passwd"}}, {"kind": "multinomial_nb"}, []):
        (folder / "expunge.json").write_text(json.dumps(wrong))
        with pytest.raises(UnreadableModel):
            MultinomialNB.load(folder, salt=SALT)


def test_values_come_back_as_they_were_and_nothing_is_pickled() -> None:
    values = {
        "floats": np.array([0.1, -0.0, np.inf]),
        "counts": np.arange(3, dtype=np.int64),
        "flags": np.array([True, False]),
        "names": np.array(["a", "bb"]),
        "mixed": np.array(["a", None, 1, 1.5], dtype=object),
        "empty": np.zeros((0, 3)),
        "plain": {"a": [1, 1.0, "x", None]},
    }
    found = _parts.unpack(_parts.pack(values))
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            assert found[name].shape == value.shape
            assert found[name].tolist() == value.tolist()
        else:
            assert found[name] == value
    assert _parts.pack(values) == _parts.pack(dict(reversed(values.items())))
    with pytest.raises(InvalidData, match="pickle"):
        _parts.pack({"f": lambda: None})


def test_more_names_than_a_header_holds_are_written_and_read() -> None:
    many = {"names": ["x" * 1000] * 101_000}  # safetensors refuses a header above 100 MB
    assert _parts.unpack(_parts.pack(many)) == many


def test_no_file_of_anyone_else_is_removed(tmp_path: Path) -> None:
    theirs = tmp_path / "parts" / "thesis.txt"
    (tmp_path / "parts" / "drafts").mkdir(parents=True)
    theirs.write_text("dear reader")
    stray = tmp_path / "parts" / f".{'0' * 64}.tmp"  # the control: of a save that was killed
    stray.write_bytes(b"")
    fitted().save(tmp_path)
    assert theirs.read_text() == "dear reader"
    assert not stray.exists()


@pytest.mark.parametrize("key", ["parameters", "features", "digest", "parts"])
@pytest.mark.parametrize("value", [None, 7, {}, {"rows": 7}])
def test_a_damaged_description_is_refused_and_costs_no_part(tmp_path: Path, key: str, value: object) -> None:
    fitted().save(tmp_path)
    whole = (tmp_path / "expunge.json").read_text()
    if (key, value) in (("parameters", {}), ("features", None), ("features", {})):
        pytest.skip("defaults, which are those of the fit")
    (tmp_path / "expunge.json").write_text(json.dumps({**json.loads(whole), key: value}))
    with pytest.raises((UnreadableModel, DigestMismatch)):
        MultinomialNB.load(tmp_path, salt=SALT)
    (tmp_path / "expunge.json").write_text(whole)
    assert MultinomialNB.load(tmp_path, salt=SALT).digest() == fitted().digest()


@pytest.mark.parametrize("part", ["learned", "rows", "lineage"])
def test_a_part_that_lacks_something_is_refused_by_type(tmp_path: Path, part: str) -> None:
    fitted().save(tmp_path)
    described = json.loads((tmp_path / "expunge.json").read_text())
    whole = _parts.unpack((tmp_path / "parts" / described["parts"][part].removeprefix("sha256:")).read_bytes())
    for missing in whole:
        less = _parts.pack({name: value for name, value in whole.items() if name != missing})
        (tmp_path / "parts" / _parts.digest(less).removeprefix("sha256:")).write_bytes(less)
        parts = {**described["parts"], part: _parts.digest(less)}
        (tmp_path / "expunge.json").write_text(json.dumps({**described, "parts": parts}))
        with pytest.raises((UnreadableModel, DigestMismatch)):
            MultinomialNB.load(tmp_path, salt=SALT)


def test_the_salt_is_not_shown() -> None:
    salt = b"not for anybody's eyes"
    model = MultinomialNB(alpha=0.5, salt=salt)
    for shown in (repr(model), str(model), str(model._repr_mimebundle_())):
        assert "eyes" not in shown
        assert "0.5" in shown
    assert model.salt is salt
