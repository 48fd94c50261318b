"""Canonical, domain-separated SHA-256 over JSON, tensors, tables and folders.

Every digest starts with a domain, so that a table can never pass for a tensor or a folder for a statement
(RFC 6962, Sec. 2.1 has the reason). JSON is canonical by RFC 8785. Strings are `sha256:<hex>`.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import rfc8785

from expunge.core.errors import InvalidData, UnreadableModel

_CHUNK = 1 << 20


def _start(domain: str) -> "hashlib._Hash":
    name = domain.encode()
    return hashlib.sha256(b"expunge/" + name + b"/v1\0")


def _add(state: "hashlib._Hash", part: bytes) -> None:
    """Length first, so that ("ab", "c") and ("a", "bc") differ."""
    state.update(struct.pack(">Q", len(part)))
    state.update(part)


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value: equal values give equal bytes, whatever their key order.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    if isinstance(value, list) and all(type(item) is str for item in value):  # as of every record: many, and often
        with suppress(UnicodeEncodeError):
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as e:
        raise InvalidData(f"cannot write a canonical form of this value: {e}") from e


def digest_bytes(domain: str, data: bytes) -> str:
    state = _start(domain)
    _add(state, data)
    return f"sha256:{state.hexdigest()}"


def digest_json(domain: str, value: Any) -> str:
    """Digest of a JSON value.

    >>> digest_json("config", {"a": 1, "b": 2}) == digest_json("config", {"b": 2, "a": 1})
    True
    >>> digest_json("config", {}) == digest_json("record", {})
    False
    """
    return digest_bytes("json/" + domain, canonical_json(value))


def digest_tensors(tensors: Iterable[tuple[str, str, Sequence[int], bytes]]) -> str:
    """Digest of named tensors given as (name, dtype, shape, little-endian bytes), in any order.

    >>> a, b = ("a", "float32", [1], b"1234"), ("b", "float32", [1], b"5678")
    >>> digest_tensors([a, b]) == digest_tensors([b, a])
    True
    >>> digest_tensors([a]) == digest_tensors([("a", "float32", [1, 1], b"1234")])
    False
    """
    state = _start("tensors")
    for name, dtype, shape, data in sorted(tensors, key=lambda t: t[0]):
        _add(state, name.encode())
        _add(state, dtype.encode())
        _add(state, struct.pack(f">{len(shape)}Q", *shape))
        _add(state, data)
    return f"sha256:{state.hexdigest()}"


def digest_table(columns: Mapping[str, Sequence[str | int | bytes]]) -> str:
    """Digest of a table's columns, in the order of its rows; column order does not matter.

    >>> digest_table({"x": [1, 2]}) == digest_table({"x": [2, 1]})
    False
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidData(f"columns differ in length: {lengths}")
    state = _start("table")
    for name in sorted(columns):
        _add(state, name.encode())
        for value in columns[name]:
            kind = b"b" if isinstance(value, bytes) else b"s" if isinstance(value, str) else b"i"
            _add(state, kind + (value if isinstance(value, bytes) else str(value).encode()))
        _add(state, b"end")
    return f"sha256:{state.hexdigest()}"


def sha256_file(path: Path) -> str:
    """Plain SHA-256 of a file's bytes, hex, as `sha256sum` prints it."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def digest_folder(folder: Path) -> str:
    """Digest of all that is below a folder: relative names and bytes of files, and the names of folders that hold nothing; no
    times, no modes.

    Raises: UnreadableModel, if the folder is missing, holds no file, or holds what is neither file nor folder: a link, a pipe, a
    socket or a device, which has no bytes of its own.
    """
    if not folder.is_dir():
        raise UnreadableModel(f"no folder at {folder}")
    found = sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*"))
    for _, path in found:
        if path.is_symlink():
            raise UnreadableModel(f"{path} is a symbolic link; a digest must cover the bytes themselves, copy the file")
        if not (path.is_file() or path.is_dir()):
            raise UnreadableModel(f"{path} is neither a file nor a folder, so no digest can cover it; remove it")
    files = {name: sha256_file(path) for name, path in found if path.is_file()}
    if not files:
        raise UnreadableModel(f"{folder} holds no files")
    return digest_files(files, [name for name, path in found if path.is_dir() and not any(path.iterdir())])


def digest_files(sha256: Mapping[str, str], empty: Sequence[str] = ()) -> str:
    """As `digest_folder`, of files elsewhere: names relative to where they lie, with the plain SHA-256 of each in hex.

    >>> digest_files({"a": "00" * 32, "b": "11" * 32}) == digest_files({"b": "11" * 32, "a": "00" * 32})
    True
    """
    state = _start("folder")
    for name in sorted(sha256):
        _add(state, name.encode())
        _add(state, bytes.fromhex(sha256[name]))
    for name in empty:
        _add(state, f"{name}/".encode())  # no file has such a name
    return f"sha256:{state.hexdigest()}"
