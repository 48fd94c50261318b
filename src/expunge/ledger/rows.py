"""Rows of CSV, JSON Lines and Parquet files, each with the place where it stands."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expunge.core.errors import InvalidData
from expunge.ledger.names import nearest

Row = tuple[str, Mapping[str, Any]]  # "line 7" or "row 7", and the values by column

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def format_of(path: Path) -> str:
    """The format that a file's name tells: csv, jsonl, csv.gz, jsonl.gz or parquet.

    >>> format_of(Path("people.ndjson.gz"))
    'jsonl.gz'
    """
    name = path.name.lower()
    gz = ".gz" if name.endswith(".gz") else ""
    kind = _SUFFIXES.get(Path(name.removesuffix(".gz")).suffix)
    if kind is None or (gz and kind == "parquet"):
        raise InvalidData(f"{path.name} is of no known format; use .csv, .jsonl, .csv.gz, .jsonl.gz or .parquet")
    return kind + gz


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file in their order.

    Raises: InvalidData, naming file and line, if the file is missing, empty, truncated, not UTF-8, malformed,
    or lacks a column.
    """
    reader = {"csv": _csv_rows, "jsonl": _json_rows, "parquet": _parquet_rows}[format_of(path).removesuffix(".gz")]
    if not path.is_file():
        raise InvalidData(f"there is no file at {path}")
    if path.stat().st_size == 0:
        raise InvalidData(f"{path.name} is empty")
    return reader(path, list(dict.fromkeys(columns)))


def _csv_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # the default of 128 KiB is less than one long document
    reader = csv.reader(_lines(path), strict=True)
    try:
        header = next(reader, [])
        _need(path, "line 1", columns, header)
        if twice := [name for name in columns if header.count(name) > 1]:
            raise InvalidData(f"{path.name}, line 1: there are several columns '{twice[0]}'; rename all but one")
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise InvalidData(
                    f"{path.name}, line {reader.line_num}: {len(values)} values under {len(header)} columns; "
                    "the line is cut off, or a value with a comma or line break lacks its quotes"
                )
            yield f"line {reader.line_num}", dict(zip(header, values, strict=True))
    except csv.Error as e:
        raise InvalidData(f"{path.name}, line {reader.line_num}: not valid CSV ({e})") from e


def _json_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise InvalidData(f"{path.name}, {place}: not valid JSON ({e.msg}, column {e.colno})") from e
        except (RecursionError, ValueError) as e:
            raise InvalidData(f"{path.name}, {place}: JSON nested too deep, or a number too long") from e
        if not isinstance(row, dict):
            raise InvalidData(f'{path.name}, {place}: expected an object like {{"name": …}}, one on each line')
        _need(path, place, columns, row)
        yield place, row


def columns_are_texts(path: Path, columns: Sequence[str]) -> bool:
    """Whether these columns of a Parquet file hold texts and whole numbers alone, which have one spelling as text.

    False also where the file cannot be read: `read_rows` says why.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            types = {field.name: field.type for field in file.schema_arrow}
    except (pa.ArrowException, OSError):
        return False
    plain = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    return all(name in types and any(is_kind(types[name]) for is_kind in plain) for name in columns)


def read_text_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """Such columns of a Parquet file as texts, nulls as empty ones, some thousands of rows at a time.

    Raises: InvalidData, as `read_rows`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(columns))
    with _parquet(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=16384, columns=names):
            # Not by place in the batch, which has the file's order of columns.
            yield {name: pc.fill_null(batch.column(name).cast(pa.string()), "").to_pylist() for name in names}


@contextmanager
def _parquet(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except UnicodeDecodeError as e:
        raise InvalidData(f"{path.name}: holds text that is not UTF-8; write it again as UTF-8") from e
    except (pa.ArrowException, OSError) as e:
        raise InvalidData(f"{path.name} is truncated, damaged or not Parquet; get the file again") from e


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with _parquet(path), pq.ParquetFile(path) as file:
        _need(path, "schema", columns, file.schema_arrow.names)
        number = 0
        for batch in file.iter_batches(batch_size=4096, columns=columns):
            for row in _to_microseconds(batch).to_pylist():
                number += 1
                yield f"row {number}", row


def _to_microseconds(batch: Any) -> Any:
    """Instants of nanoseconds, which Python's cannot hold, to the microsecond before."""
    import pyarrow as pa

    for k, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            coarser = batch.column(k).cast(pa.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(k, field.name, coarser)
    return batch


def _lines(path: Path) -> Iterator[str]:
    """Lines as text, their line ends kept; a byte order mark is dropped."""
    number = 0
    with _readable(path), gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as e:
                raise InvalidData(f"{path.name}, line {number}: not UTF-8; save the file as UTF-8") from e
    if number == 0:
        raise InvalidData(f"{path.name} is empty")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise InvalidData(f"{path.name} is truncated or not gzip; get the file again") from e
    except OSError as e:
        raise InvalidData(f"{path.name} cannot be read: {e.strerror or e}") from e


def _need(path: Path, place: str, columns: Sequence[str], found: Sequence[str] | Mapping[str, Any]) -> None:
    for name in columns:
        if name not in found:
            have = ", ".join(f"'{column}'" for column in found) or "none"
            raise InvalidData(
                f"{path.name}, {place}: no column '{name}'; columns found: {have}; {nearest(name, found)}"
            )
