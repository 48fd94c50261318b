"""Rows of a benchmark: from a folder of JSONL files, or from the hub at one commit, which is recorded with the result."""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core.errors import InvalidData, MissingExtra

_ENDINGS = (".jsonl", ".jsonl.gz", ".json")


@dataclass(frozen=True)
class Split:
    """One table of a benchmark: `file` is its name in a folder, `config` and `split` are its names on the hub."""

    file: str
    config: str
    split: str


@dataclass(frozen=True)
class Table:
    """Rows and where they came from: a file with its digest, or a hub dataset with its commit."""

    rows: tuple[Mapping[str, Any], ...]
    origin: Mapping[str, Any]

    def texts(self, key: str) -> list[str]:
        """One column of text.

        Raises: InvalidData, naming the row that lacks it.
        """
        for n, row in enumerate(self.rows, start=1):
            if not isinstance(row.get(key), str) or not row[key].strip():
                raise InvalidData(f"{self.name}, row {n}: needs text under '{key}', got {row.get(key)!r:.80}")
        return [row[key] for row in self.rows]

    @property
    def name(self) -> str:
        return str(self.origin["name"])


@dataclass(frozen=True)
class Source:
    """A folder, or the name of a dataset on the hub. `revision` pins a commit; without one, today's commit is looked up.

    A folder holds one file a table, `NAME.jsonl`, `NAME.jsonl.gz` or `NAME.json` (one array).
    A row is an object, or a text, which stands for {"text": …}.
    """

    where: str
    revision: str | None = None

    @property
    def local(self) -> bool:
        return Path(self.where).exists() or self.where.startswith((".", "/", "~"))

    def table(self, split: Split) -> Table:
        """
        Raises: InvalidData, for a missing, unreadable or empty table; MissingExtra, for the hub without `datasets`.
        """
        found = self.find(split)
        if found is None:
            wanted = (
                f"{split.file}{{{','.join(_ENDINGS)}}}" if self.local else f"config {split.config}, split {split.split}"
            )
            raise InvalidData(
                f"no {wanted} in {self.where}; see docs/benchmarks.md for the tables that a benchmark reads"
            )
        return found

    def find(self, split: Split) -> Table | None:
        """The table, or None where the source does not have it."""
        return _local(Path(self.where).expanduser(), split) if self.local else _hub(self.where, self.revision, split)


def _local(folder: Path, split: Split) -> Table | None:
    if not folder.is_dir():
        raise InvalidData(f"no folder at {folder}; name a folder of JSONL files, or a dataset on the hub")
    path = next((p for p in (folder / f"{split.file}{end}" for end in _ENDINGS) if p.is_file()), None)
    if path is None:
        return None
    data = path.read_bytes()
    origin = {"name": path.relative_to(folder).as_posix(), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    return _checked(_parsed(path, data), origin)


def _parsed(path: Path, data: bytes) -> list[Any]:
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        if path.suffix == ".json":
            rows = json.loads(text)
            return rows if isinstance(rows, list) else [rows]
    except (OSError, EOFError, ValueError) as e:
        raise InvalidData(f"cannot read {path}: {e}") from e
    rows = []
    for n, line in enumerate(text.split("\n"), start=1):  # JSON strings may hold other line separators
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as e:
                raise InvalidData(f"{path}, line {n}: not JSON ({e})") from e
    return rows


def _hub(name: str, revision: str | None, split: Split) -> Table | None:
    try:
        import datasets
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    except ImportError as e:
        raise MissingExtra(
            f"reading {name} from the hub needs '{e.name}'; run `pip install 'expunge[harness]'`, or name a local folder"
        ) from e

    try:
        commit = revision or HfApi().dataset_info(name).sha
        rows = datasets.load_dataset(name, split.config, split=split.split, revision=commit)
    except ValueError as e:
        if "BuilderConfig" in str(e) or "Unknown split" in str(e):
            return None
        raise InvalidData(f"cannot read {split.config}/{split.split} of {name}: {e}") from e
    except (OSError, HTTPError) as e:
        raise InvalidData(f"cannot reach {name} on the hub ({e}); name a local folder of the same tables") from e
    origin = {"name": f"{name}/{split.config}/{split.split}", "revision": commit}
    return _checked(list(rows), origin)


def _checked(rows: Sequence[Any], origin: Mapping[str, Any]) -> Table:
    rows = [{"text": row} if isinstance(row, str) else row for row in rows]
    for n, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise InvalidData(f"{origin['name']}, row {n}: needs a JSON object, got {type(row).__name__}")
    if not rows:
        raise InvalidData(f"{origin['name']} holds no rows")
    return Table(tuple(rows), {**origin, "rows": len(rows)})
