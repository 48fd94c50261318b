"""`AdapterShards` on disk: ordinary PEFT folders, one per shard and stage, and a description of the whole.

    expunge.json                                     parameters, environment, shards with their digests
    units/shard-003/adapter_model.safetensors …      what answers: a PEFT folder
    units/shard-003/slice-1/adapter_model.…          the checkpoint after an earlier slice, a PEFT folder too
    units/shard-003/words.safetensors                keyed hashes of the words it knows, if it is found by them
    units/shard-003/members.json                     opaque names of the records, by slice

No record, subject or salt is in it. The same state gives the same bytes.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import LoraConfig
from safetensors.torch import save_file

from expunge.core import Record
from expunge.core.errors import DigestMismatch, UnreadableModel
from expunge.core.placement import member_id
from expunge.exact._adapter.unit import Shard, read_adapter, shard_number

DESCRIPTION = "expunge.json"
_WORDS = "words.safetensors"


def write_folder(folder: Path, state: Mapping[str, Any], shards: Mapping[str, Shard], config: LoraConfig) -> None:
    """Write a new folder; the caller makes it appear under its final name when it is whole."""
    for unit in state["units"]:
        shard, home = shards[unit["id"]], folder / "units" / unit["id"]
        for place, stage in zip(_places(home, len(shard.stages)), shard.stages, strict=True):
            place.mkdir(parents=True, exist_ok=True)
            save_file(stage, place / "adapter_model.safetensors", metadata={"format": "pt"})
            _write_json(place / "adapter_config.json", _plain(config))
        if shard.words is not None:
            save_file({"words": shard.words}, home / _WORDS)
        _write_json(home / "members.json", unit["members"])
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


def read_shards(folder: Path, description: Mapping[str, Any]) -> dict[str, Shard]:
    """Every shard, without its records.

    Raises: UnreadableModel, for a missing or truncated file; DigestMismatch, for bits that are not the recorded ones.
    """
    shards = {}
    for unit in description["units"]:
        home, n_slices = folder / "units" / unit["id"], len(unit["slices"])
        stages = [read_adapter(place / "adapter_model.safetensors") for place in _places(home, n_slices)]
        words = read_adapter(home / _WORDS).get("words") if (home / _WORDS).exists() else None
        slices: list[list[Record]] = [[] for _ in range(n_slices)]
        shard = Shard(shard_number(unit["id"]), slices, stages, words, unit.get("encoded"))
        if shard.digest() != unit["digest"]:
            raise DigestMismatch(f"the weights of {unit['id']} are not the recorded ones; restore them from a backup")
        shards[shard.name] = shard
    return shards


def match_records(
    folder: Path, shards: Mapping[str, Shard], placed: Mapping[int, list[list[Record]]], salt: bytes
) -> dict[str, Shard]:
    """Shards with their records, after checking that they are exactly the ones these were trained on.

    Raises: UnreadableModel; DigestMismatch, where records are missing, new or changed.
    """
    matched = {}
    for name, shard in shards.items():
        slices = placed.get(shard.number, shard.slices)
        for r, (part, trained) in enumerate(zip(slices, _read_members(folder, name), strict=True), start=1):
            given, wanted = Counter(member_id(record, salt) for record in part), Counter(trained)
            if given != wanted:
                raise DigestMismatch(
                    f"{name}, slice {r} was trained on {wanted.total()} records; of the records given, "
                    f"{(given & wanted).total()} are among them, {(wanted - given).total()} are missing and "
                    f"{(given - wanted).total()} are new; give the data it was trained on"
                )
        matched[name] = replace(shard, slices=slices)
    numbers = {shard.number for shard in shards.values()}
    if extra := sum(len(part) for number, slices in placed.items() if number not in numbers for part in slices):
        raise DigestMismatch(f"{extra} of the records given belong to units that this model does not have")
    return matched


def _read_members(folder: Path, unit: str) -> list[list[str]]:
    try:
        members: list[list[str]] = json.loads((folder / "units" / unit / "members.json").read_text())
    except (OSError, ValueError) as e:
        raise UnreadableModel(f"the member list of {unit} is missing or damaged ({e})") from e
    return members


def _places(home: Path, n_stages: int) -> list[Path]:
    """Where every stage lies: the last one, which answers, at home."""
    return [home / f"slice-{r}" for r in range(1, n_stages)] + [home]


def _plain(config: LoraConfig) -> dict[str, Any]:
    """PEFT's own description with sets in a fixed order and without paths."""
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    return {**plain, "base_model_name_or_path": None, "inference_mode": True}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")
