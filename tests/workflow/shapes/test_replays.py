"""A replay that compared nothing is no match, and one of another script does not run."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from expunge.core import Unit
from expunge.core.errors import RebuildFailed
from expunge.workflow.inputs.user_code import Recorded
from expunge.workflow.shapes import adapter_shards, own_loop
from expunge.workflow.shapes.track import UNIT_FILE


def quiet(what: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(
    ("held", "trained", "says"),
    [
        ((), {}, None),
        (("shard-000",), {}, False),
        ((), {"shard-000": "sha256:a"}, False),
        (("shard-000",), {"shard-000": "sha256:a"}, True),
        (("shard-000",), {"shard-000": "sha256:b"}, False),
    ],
)
def test_shards_that_are_gone_were_not_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: tuple[str, ...], trained: dict[str, str], says: bool | None
) -> None:
    monkeypatch.setattr(adapter_shards, "printed_by", lambda *_, **__: trained)
    project: Any = SimpleNamespace(root=tmp_path, work=lambda *_: tmp_path / "work")
    units = tuple(Unit(name, (1,), "sha256:a") for name in held)
    version: Any = SimpleNamespace(units=units, kind="adapter_shards", model="m", digest="d")
    assert adapter_shards.replay(project, version, "req", ["shard-000"], quiet) is says


@pytest.mark.parametrize(
    ("recorded", "again", "says"),
    [(None, None, None), ("a", None, False), (None, "a", False), ("a", "a", True), ("a", "b", False)],
)
def test_units_of_a_loop_that_are_gone_were_not_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: str | None, again: str | None, says: bool | None
) -> None:
    def unit_in(folder: Path, weights: str | None) -> Path | None:
        if weights is None:
            return None
        folder.mkdir(parents=True)
        (folder / UNIT_FILE).write_text(json.dumps({"weights": weights}))
        return folder

    unit_in(tmp_path / "version" / "units" / "unit-0", recorded)
    made = unit_in(tmp_path / "again", again)
    monkeypatch.setattr(own_loop, "rebuild", lambda *_: (made, {}))
    project: Any = SimpleNamespace(folder=lambda _: tmp_path / "version", work=lambda *_: tmp_path / "work")
    version: Any = SimpleNamespace(recipe={"script": "loop.py:train"}, model="m")
    assert own_loop.replay(project, version, "req", ["unit-0"], quiet) is says


def test_a_loop_s_script_that_was_changed_since_does_not_run(tmp_path: Path) -> None:
    script = tmp_path / "loop.py"
    script.write_text(f"open({str(tmp_path / 'EXECUTED')!r}, 'w')\n\n\ndef train(unit):\n    pass\n")
    project: Any = SimpleNamespace(root=tmp_path)
    version: Any = SimpleNamespace(model="tuned", dataset="people", digest="d")
    recorded = Recorded("tuned", "0" * 64, {})
    with pytest.raises(RebuildFailed, match=r"loop\.py is not the file that 'tuned' was trained by"):
        own_loop.rebuild(project, version, "req", f"{script}:train", recorded, "unit-0", tmp_path / "unit-0")
    assert not (tmp_path / "EXECUTED").exists()
