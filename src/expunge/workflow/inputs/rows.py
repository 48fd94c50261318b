"""Lines of JSON, rows of Parquet, documents of a text file or of a folder, each with its place in the words of its file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core.errors import InvalidData, MissingExtra

TEXT = (".txt", ".md")


@dataclass(frozen=True)
class Row:
    """One line, with its place in the words of its file, or what is wrong with it."""

    place: str
    number: int
    content: Mapping[str, Any] | None
    wrong: str = ""


def rows_of(path: Path) -> Iterator[Row]:
    """The lines of a file, or the files of a folder.

    Raises: InvalidData, for what cannot be read at all; MissingExtra.
    """
    if path.is_dir():
        yield from _folder(path)
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    else:
        text = _read(path)
        yield from _documents(text) if path.suffix in TEXT else _lines(text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise InvalidData(f"{path} is not UTF-8 text (byte {e.start}); convert it") from e
    except OSError as e:
        raise InvalidData(f"cannot read {path}: {e.strerror or e}") from e


def _folder(path: Path) -> Iterator[Row]:
    """Every text file below a folder, by name; empty ones say nothing."""
    inside = [(file, file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file()]
    shown = [(file, name) for file, name in inside if not any(part.startswith(".") for part in name.parts)]
    if others := [name for file, name in shown if file.suffix not in TEXT]:
        raise InvalidData(
            f"{path} holds {len(others)} files that are not {' or '.join(TEXT)}, the first {others[0]}; a folder is read as "
            "documents, one a file; name other files one by one"
        )
    for n, (file, name) in enumerate(shown, start=1):
        if (text := _read(file)).strip():
            yield Row(name.as_posix(), n, {"text": text.strip()})


def _lines(text: str) -> Iterator[Row]:
    if text.lstrip().startswith("["):
        yield Row("line 1", 1, None, "this file is one JSON array; write one object a line instead (JSONL)")
        return
    for n, line in enumerate(text.split("\n"), start=1):  # JSON strings may hold other line separators
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:
            where = f"{e.msg}, column {e.colno}" if isinstance(e, json.JSONDecodeError) else type(e).__name__
            yield Row(f"line {n}", n, None, f"not JSON: {where}")
            continue
        yield (
            Row(f"line {n}", n, value) if isinstance(value, dict) else Row(f"line {n}", n, None, "not a JSON object")
        )


def _documents(text: str) -> Iterator[Row]:
    """Paragraphs, each with the line it begins on."""
    begun, lines = 0, list[str]()
    for n, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            begun = begun or n
            lines.append(line)
        elif lines:
            yield Row(f"line {begun}", begun, {"text": "\n".join(lines)})
            begun, lines = 0, []


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise MissingExtra("reading Parquet needs pyarrow; run `pip install 'expunge[ledger]'`, or write JSONL") from e
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as e:
        raise InvalidData(f"cannot read {path} as Parquet: {str(e).splitlines()[0]}") from e
    for n, content in enumerate(table.to_pylist(), start=1):
        yield Row(f"row {n}", n, content)
