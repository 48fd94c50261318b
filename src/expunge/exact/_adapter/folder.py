"""AdapterShards on disk: ordinary PEFT folders, one per shard and stage, and a description of the whole.

    expunge.json                                     parameters, environment, shards with their digests
    units/shard-003/adapter_model.safetensors …      what answers: a PEFT folder
    units/shard-003/slice-1/adapter_model.…          the checkpoint after an earlier slice, a PEFT folder too
    units/shard-003/order-2/slice-1/…                the same for another order of the slices, if there are several
    units/shard-003/words.safetensors                keyed hashes of the words it knows, if it is found by them
    units/shard-003/members.json                     opaque names of the records, by slice

No record, subject or salt is in it. The same state gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from expunge.core import Record
from expunge.core.errors import DigestMismatch, UnreadableModel
from expunge.core.placement import member_id
from expunge.exact._adapter.unit import Adapter, Shard

DESCRIPTION = "expunge.json"
_WORDS = "words.safetensors"


def write_folder(
    folder: Path,
    state: dict[str, Any],
    shards: Mapping[str, Shard],
    members: Mapping[str, list[list[str]]],
    config: LoraConfig,
) -> None:
    """Write a new folder; the caller makes it appear under its final name when it is whole."""
    for unit, shard in shards.items():
        home = folder / "units" / unit
        for place, line, r in _places(home, [len(line) for line in shard.lines]):
            place.mkdir(parents=True, exist_ok=True)
            save_file(shard.lines[line][r], place / "adapter_model.safetensors", metadata={"format": "pt"})
            _write_json(place / "adapter_config.json", _plain(config))
        if shard.words is not None:
            save_file({"words": shard.words}, home / _WORDS)
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


def read_shards(folder: Path, described: Mapping[str, Any], whole: Sequence[int]) -> dict[str, Shard]:
    """Every shard, without its records; `whole` is how many stages there are, by order, where nothing was truncated.

    Raises: UnreadableModel, for a missing or truncated file; DigestMismatch, for bits that are not the recorded ones.
    """
    asked, shards = described["parameters"], {}
    for unit in described["units"]:
        home, stages = folder / "units" / unit["id"], asked.get("truncated", {}).get(unit["id"], whole)
        lines: list[list[Adapter]] = [[] for _ in stages]
        for place, line, _ in _places(home, stages):
            lines[line].append(_read(place / "adapter_model.safetensors"))
        words = _read(home / _WORDS).get("words") if (home / _WORDS).exists() else None
        shard = Shard([[] for _ in unit["slices"]], lines, words)
        if shard.digest() != unit["digest"]:
            raise DigestMismatch(f"the weights of {unit['id']} are not the recorded ones; restore them from a backup")
        shards[unit["id"]] = shard
    return shards


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


def _places(home: Path, stages: Sequence[int]) -> list[tuple[Path, int, int]]:
    """Where every stage lies, with its order and number from 0: the one that answers lies at home."""
    serving = max(range(len(stages)), key=stages.__getitem__)
    places = []
    for line, n in enumerate(stages):
        folder = home / f"order-{line + 1}" if len(stages) > 1 else home
        for r in range(n):
            answers = line == serving and r == n - 1
            places.append((home if answers else folder / f"slice-{r + 1}", line, r))
    return places


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as e:
        raise UnreadableModel(f"{path} is missing or truncated ({e}); restore it from a backup") from e
    return tensors


def _plain(config: LoraConfig) -> dict[str, Any]:
    """PEFT's own description with sets in a fixed order and without paths."""
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    return {**plain, "base_model_name_or_path": None, "inference_mode": True}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")
