"""A user's file as records. Faults are named by file and line, never by quoting the content."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.core.identity import canonical_identity
from expunge.ledger.rows import read_rows


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns mean what. Without `question` or `features` the records are plain documents.

    `features` are columns that together are the input of a model; a record's question is then their values as JSON.

    Without `id` a record is named by its place, `row-<n>`: lines may then be appended, but removing one
    renames all that follow, and they no longer match what was recorded. Give an id column wherever the file
    has one.
    """

    subject: str
    answer: str
    question: str | None = None
    value: str | None = None
    id: str | None = None
    features: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """The columns to read."""
        named = (self.id, self.subject, self.question, self.answer, self.value, *self.features)
        return [c for c in named if c is not None]


def read_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of a CSV, JSON Lines (either may be gzipped) or Parquet file.

    Raises: InvalidData, naming the file and the line, never the content: a missing column, an empty subject,
    a second record with the same id, a value that is not text, a file without records, or whatever
    `read_rows` refuses.
    """
    seen: dict[str, str] = {}
    for number, (place, row) in enumerate(read_rows(path, columns.names()), start=1):
        text = _Texts(f"{path.name}, {place}", row)
        record = Record(
            id=f"row-{number}" if columns.id is None else text[columns.id],
            subject=canonical_identity(text[columns.subject]),
            question=_question(columns, text),
            answer=text[columns.answer],
            value="" if columns.value is None else text[columns.value],
        )
        for name, value in (("id", record.id), ("subject", record.subject)):
            if not value:
                raise InvalidData(f"{path.name}, {place}: the {name} is empty; every record needs one")
        if record.id in seen:
            raise InvalidData(f"{path.name}, {place}: the same id as {seen[record.id]}; every record needs its own")
        seen[record.id] = place
        yield record
    if not seen:
        raise InvalidData(f"{path.name} holds no records, only a header or blank lines")


def _question(columns: Columns, text: "_Texts") -> str:
    if not columns.features:
        return "" if columns.question is None else text[columns.question]
    values = {name: text.row[name] for name in columns.features}
    if wrong := [name for name, value in values.items() if not isinstance(value, str | int | float | None)]:
        kind = type(values[wrong[0]]).__name__
        raise InvalidData(f"{text.place}: column '{wrong[0]}' holds a {kind}; a feature is a number or a text")
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False)
    except ValueError as e:
        raise InvalidData(f"{text.place}: a feature is NaN or infinite; leave it empty instead") from e


@dataclass(frozen=True)
class _Texts:
    """The values of a row as text, so that the same data gives the same records in every format.

    >>> _Texts("a.csv, line 2", {"id": 7, "question": None})["id"]
    '7'
    """

    place: str
    row: Mapping[str, Any]

    def __getitem__(self, column: str) -> str:
        value = self.row[column]
        if value is None:
            return ""
        # A float or a truth value has several spellings (1, 1.0, 1e0), and each would be another record.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidData(f"{self.place}: column '{column}' holds a {type(value).__name__}; write it as text")
        text = str(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as e:
                raise InvalidData(f"{self.place}: column '{column}' holds half a character (a lone surrogate)") from e
        return text
