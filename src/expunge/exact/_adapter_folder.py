"""AdapterShards on disk: ordinary PEFT folders, one per unit and slice, and a description of the whole.

    expunge.json                                     parameters, environment, units with their digests
    units/shard-003/adapter_model.safetensors …      what answers: the last slice, a PEFT folder
    units/shard-003/slice-1/adapter_model.…          the checkpoint after an earlier slice, a PEFT folder too
    units/shard-003/members.json                     opaque names of the records, by slice

No record, subject or salt is in it. The same state gives the same bytes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from expunge.core import Record
from expunge.core.errors import DigestMismatch, UnreadableModel
from expunge.core.placement import member_id
from expunge.exact._adapter_unit import Adapter

DESCRIPTION = "expunge.json"


def write_folder(
    folder: Path,
    state: dict[str, Any],
    stages: dict[str, list[Adapter]],
    members: dict[str, list[list[str]]],
    config: LoraConfig,
) -> None:
    """Write a new folder; the caller makes it appear under its final name when it is whole."""
    for unit, adapters in stages.items():
        home = folder / "units" / unit
        for r, adapter in enumerate(adapters, start=1):
            place = home if r == len(adapters) else home / f"slice-{r}"
            place.mkdir(parents=True, exist_ok=True)
            save_file(adapter, place / "adapter_model.safetensors", metadata={"format": "pt"})
            _write_json(place / "adapter_config.json", _plain(config))
        _write_json(home / "members.json", members[unit])
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / DESCRIPTION, state)


def read_description(folder: Path) -> dict[str, Any]:
    """Parameters and units of a folder.

    Raises: UnreadableModel.
    """
    path = folder / DESCRIPTION
    try:
        description: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise UnreadableModel(f"{path} is missing or damaged ({e}); restore the model folder from a backup") from e
    return description


def read_stages(folder: Path, unit: str, n_slices: int) -> list[Adapter]:
    """The adapter after every slice of a unit.

    Raises: UnreadableModel, for a missing or truncated file.
    """
    home = folder / "units" / unit
    stages = []
    for r in range(1, n_slices + 1):
        path = (home if r == n_slices else home / f"slice-{r}") / "adapter_model.safetensors"
        try:
            stages.append(load_file(path))
        except (SafetensorError, OSError) as e:
            raise UnreadableModel(f"{path} is missing or truncated ({e}); restore it from a backup") from e
    return stages


def match_members(
    folder: Path, unit: str, slices: Sequence[Sequence[Record]] | None, salt: bytes, n_slices: int
) -> list[list[Record]]:
    """The given records of a unit, after checking that they are exactly the ones it was trained on.

    Raises: DigestMismatch, where records are missing, new or changed.
    """
    try:
        trained: list[list[str]] = json.loads((folder / "units" / unit / "members.json").read_text())
    except (OSError, ValueError) as e:
        raise UnreadableModel(f"the member list of {unit} is missing or damaged ({e})") from e
    given = [list(part) for part in slices] if slices is not None else [[] for _ in range(n_slices)]
    for r, (names, part) in enumerate(zip(trained, given, strict=True), start=1):
        have, want = {member_id(record, salt) for record in part}, set(names)
        if have != want:
            raise DigestMismatch(
                f"{unit}, slice {r} was trained on {len(want)} records; of the records given, {len(have & want)} are "
                f"among them, {len(want - have)} are missing and {len(have - want)} are new; give the data it was trained on"
            )
    return given


def _plain(config: LoraConfig) -> dict[str, Any]:
    """PEFT's own description with sets in a fixed order and without paths."""
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    return {**plain, "base_model_name_or_path": None, "inference_mode": True}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")
