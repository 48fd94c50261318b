"""A fitted learner on disk: a description that names parts by their digest, replaced in one step.

    expunge.json                 what it is, its parameters, and the digest of every part
    parts/<sha256>               the parts: safetensors, with what is no number as bytes of JSON among the arrays

Saving over an older state writes the new parts beside the old ones, replaces the description, then removes what the
description does not name. A kill at any instant leaves the old state or the new; `sweep` finishes a removal that a
kill cut short, so that no part with forgotten data stays.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from expunge.core.durable import TEMPORARY, sync_folder, write_durably
from expunge.core.errors import DigestMismatch, InvalidData, UnreadableModel
from expunge.core.refusals import explaining

DESCRIPTION = "expunge.json"
_JSON = ".json"  # an array, too: a header of safetensors ends at 100 MB, and names of two million records do not
_OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}(\.[0-9a-f-]+)?" + re.escape(TEMPORARY))


def pack(values: Mapping[str, Any]) -> bytes:
    """Arrays of numbers and JSON values as safetensors; the same values give the same bytes.

    >>> values = {"counts": np.arange(3), "words": ["a", None, 1.0, 1]}
    >>> unpack(pack(values))["words"]
    ['a', None, 1.0, 1]
    """
    arrays, plain = {}, {}
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            arrays[name] = np.ascontiguousarray(value)
        elif isinstance(value, np.ndarray):
            plain[name] = {"array": value.tolist(), "dtype": "str" if value.dtype.kind == "U" else "object"}
        else:
            plain[name] = value
    try:
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        arrays[_JSON] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        data: bytes = save(arrays)
    except (TypeError, SafetensorError) as e:
        raise InvalidData(f"a value cannot be written without pickle: {e}; use numbers and text") from e
    return data


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given.

    Raises: UnreadableModel.
    """
    try:
        arrays: dict[str, Any] = load(data)
        plain = json.loads(arrays.pop(_JSON).tobytes().decode("utf-8", "surrogatepass"))
    except (SafetensorError, ValueError, KeyError) as e:
        raise UnreadableModel(f"a part of the model is damaged ({e}); restore it from a backup") from e
    for name, value in plain.items():
        if isinstance(value, dict) and value.keys() == {"array", "dtype"}:
            plain[name] = np.array(value["array"], dtype=value["dtype"])
    return {**arrays, **plain}


def digest(part: bytes) -> str:
    return f"sha256:{hashlib.sha256(part).hexdigest()}"


def write(folder: Path, description: Mapping[str, Any], parts: Mapping[str, bytes]) -> list[str]:
    """Make `folder` hold this state and no other; the digests of parts that were removed.

    Raises: StorageFull, with the old state in place.
    """
    names = {name: digest(part) for name, part in parts.items()}
    text = json.dumps({**description, "parts": names}, indent=1, sort_keys=True) + "\n"
    with explaining(folder):
        for name, part in parts.items():
            if not (path := _path(folder, names[name])).exists():
                write_durably(path, part)
        write_durably(folder / DESCRIPTION, text.encode())
    return sweep(folder)


def read(folder: Path, only: Collection[str] | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Description and parts of a saved learner; all of them, or those named in `only`.

    Raises: UnreadableModel; DigestMismatch.
    """
    description = _description(folder)
    parts = {}
    for name, expected in description["parts"].items():
        if only is not None and name not in only:
            continue
        try:
            parts[name] = _path(folder, expected).read_bytes()
        except OSError as e:
            raise UnreadableModel(f"the part '{name}' of {folder} is missing; restore it from a backup") from e
        if digest(parts[name]) != expected:
            raise DigestMismatch(f"the part '{name}' of {folder} is not the recorded one; restore it from a backup")
    return description, parts


def sweep(folder: Path) -> list[str]:
    """Remove every part that the description does not name, also those of a save that was killed; no other file."""
    named = {value.removeprefix("sha256:") for value in _description(folder)["parts"].values()}
    removed = []
    for path in sorted((folder / "parts").iterdir()):
        if path.name not in named and _OURS.fullmatch(path.name):
            path.unlink()
            removed.append(path.name)
    sync_folder(folder / "parts")
    return removed


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(found["kind"], str) or not all(isinstance(p, str) for p in found["parts"].values()):
            raise ValueError("no parts, or no kind")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise UnreadableModel(f"{path} is missing or damaged ({e}); restore the model folder from a backup") from e
    return found


def _path(folder: Path, name: str) -> Path:
    hexadecimal = name.removeprefix("sha256:")
    if len(hexadecimal) != 64 or set(hexadecimal) - set("0123456789abcdef"):
        raise UnreadableModel(f"{folder / DESCRIPTION} names a part by '{name}', which is no digest")
    return folder / "parts" / hexadecimal
