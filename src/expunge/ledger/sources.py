"""A user's file as records. Faults are named by file and line, never by quoting the content."""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.core.identity import canonical_identity
from expunge.core.record import Value
from expunge.ledger.features import Feature, Unfit, as_json, settled
from expunge.ledger.rows import columns_are_texts, format_of, read_rows, read_text_columns

LineNumbers = tuple[tuple[int, int | None], ...]
AS_THEY_COME: LineNumbers = ((1, None),)


def line_numbers(lines: LineNumbers) -> Iterator[int]:
    """The number of each line, in the order of the file.

    >>> numbers = line_numbers(((1, 2), (5, 5), (9, None)))
    >>> [next(numbers) for _ in range(5)]
    [1, 2, 5, 9, 10]
    """
    for first, last in lines:
        yield from count(first) if last is None else range(first, last + 1)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns mean what. Without `question` or `features` the records are plain documents.

    `features` are columns that together are the input of a model; a record's question is then their values as JSON. Names
    alone are settled to kinds when a file is added (`settled_columns`).

    A record may be about several people: the subject is then a list of names, or a text that `separator` cuts into names.

    Without `id` a record is named by its place, `row-<n>`: lines may then be appended, but removing one
    renames all that follow, and they no longer match what was recorded until the file is followed (`follow_file`): then `lines`
    are the numbers of its lines, as ranges of which the last has no end. Give an id column wherever the file has one.
    """

    subject: str
    answer: str
    separator: str | None = None
    question: str | None = None
    value: str | None = None
    id: str | None = None
    features: tuple[Feature | str, ...] = ()
    lines: LineNumbers = AS_THEY_COME

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f if isinstance(f, str) else f.name for f in self.features)

    def names(self) -> list[str]:
        """The columns to read."""
        named = (self.id, self.subject, self.question, self.answer, self.value, *self.feature_names)
        return [c for c in named if c is not None]


_ANSWER = Feature("answer", "text")
_BATCH = 4096


def read_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of a CSV, JSON Lines (either may be gzipped) or Parquet file.

    Raises: InvalidData, naming the file and the line, never the content: a missing column, an empty subject,
    a second record with the same id, a value that is not text, a file without records, or whatever
    `read_rows` refuses.
    """
    ids, number = _Ids(), 0
    of_lines = zip(line_numbers(columns.lines), read_rows(path, columns.names()), strict=False)
    for number, (place, row) in of_lines:
        text = _Texts(f"{path.name}, {place}", row)
        features = _features(columns, text)
        subject, *also = _subjects(columns, text)
        record = Record(
            id=f"row-{number}" if columns.id is None else text[columns.id],
            subject=subject,
            also=tuple(also),
            question=as_json(features) if features else "" if columns.question is None else text[columns.question],
            answer=_answer(columns, text),
            value="" if columns.value is None else text[columns.value],
            features=features,
        )
        for name, value in (("id", record.id), *(("subject", subject) for subject in record.subjects)):
            if not value:
                raise _empty(path, place, name)
        ids.add([record.id])
        yield record
    if not number:
        raise InvalidData(f"{path.name} holds no records, only a header or blank lines")
    ids.check(path, columns)


class Texts(NamedTuple):
    """Records by column; `first` is the number of the first one."""

    first: int
    ids: list[str]
    subjects: Sequence[str | tuple[str, ...]]  # who a record is about, several as a tuple
    questions: list[str]
    answers: list[str]

    @property
    def columns(self) -> tuple[list[str], Sequence[str | tuple[str, ...]], list[str], list[str]]:
        return self.ids, self.subjects, self.questions, self.answers


def read_texts(path: Path, columns: Columns) -> Iterator[Texts]:
    """What is committed to of the same records as `read_records` has, some thousands at a time; subjects as they are spelt.

    Texts and whole numbers of a Parquet file become no object for each record.

    Raises: InvalidData, as `read_records`.
    """
    simple = not columns.features and columns.separator is None and columns.lines == AS_THEY_COME
    if simple and format_of(path) == "parquet" and columns_are_texts(path, columns.names()):
        yield from _texts_of_batches(path, columns)
        return
    records = read_records(path, columns)
    first = 1
    while some := [(r.id, r.subjects if r.also else r.subject, r.question, r.answer) for r in islice(records, _BATCH)]:
        ids, subjects, questions, answers = map(list, zip(*some, strict=True))
        yield Texts(first, ids, subjects, questions, answers)
        first += len(some)


def _texts_of_batches(path: Path, columns: Columns) -> Iterator[Texts]:
    ids, number = _Ids(), 0
    for batch in read_text_columns(path, columns.names()):
        n = len(batch[columns.subject])
        texts = Texts(
            number + 1,
            [f"row-{k}" for k in range(number + 1, number + n + 1)] if columns.id is None else batch[columns.id],
            batch[columns.subject],
            [""] * n if columns.question is None else batch[columns.question],
            batch[columns.answer],
        )
        if "" in texts.ids:
            raise _empty(path, f"row {number + texts.ids.index('') + 1}", "id")
        subjects = batch[columns.subject]
        if "" in subjects or any(map(str.isspace, subjects)):
            k = next(k for k, subject in enumerate(subjects) if not subject.strip())
            raise _empty(path, f"row {number + k + 1}", "subject")
        ids.add(texts.ids)
        number += n
        yield texts
    if not number:
        raise InvalidData(f"{path.name} holds no records, only a header or blank lines")
    ids.check(path, columns)


def _empty(path: Path, place: str, name: str) -> InvalidData:
    return InvalidData(f"{path.name}, {place}: the {name} is empty; every record needs one")


class _Ids:
    """Whether an id comes twice, by 8 bytes for each: those of which the hash comes twice are read again."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, ids: Iterable[str]) -> None:
        self._hashes.extend(map(hash, ids))

    def check(self, path: Path, columns: Columns) -> None:
        """Raises: InvalidData, naming both places."""
        hashes = np.sort(np.frombuffer(self._hashes, np.int64))
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not twice or columns.id is None:
            return
        seen: dict[str, str] = {}
        for place, row in read_rows(path, [columns.id]):
            id = _Texts(f"{path.name}, {place}", row)[columns.id]
            if hash(id) in twice:
                if id in seen:
                    raise InvalidData(f"{path.name}, {place}: the same id as {seen[id]}; every record needs its own")
                seen[id] = place


def _subjects(columns: Columns, text: "_Texts") -> list[str]:
    """Everybody that a row is about, each once.

    >>> _subjects(Columns(subject="who", answer="", separator=";"), _Texts("line 1", {"who": "Ada; Bob;Ada"}))
    ['Ada', 'Bob']
    >>> _subjects(Columns(subject="who", answer=""), _Texts("line 1", {"who": ["Ada", "Bob"]}))
    ['Ada', 'Bob']
    """
    found = text.row[columns.subject]
    if isinstance(found, list):
        names = [_Texts(text.place, {columns.subject: one})[columns.subject] for one in found] or [""]
    elif columns.separator is None:
        names = [text[columns.subject]]
    else:
        names = text[columns.subject].split(columns.separator)
    return list(dict.fromkeys(map(canonical_identity, names)))


def settled_columns(path: Path, columns: Columns) -> Columns:
    """These columns with a kind for every feature, by what the file holds where none is declared.

    Raises: InvalidData, as `read_records`, and for a feature of two kinds.
    """
    if not columns.features:
        return columns
    features = [f if isinstance(f, Feature) else Feature(f) for f in columns.features]
    if twice := sorted({f.name for f in features if columns.feature_names.count(f.name) > 1}):
        raise InvalidData(f"feature '{twice[0]}' is named twice; name every column once")
    rows = (
        (f"{path.name}, {place}", canonical_identity(str(row[columns.subject])), row)
        for place, row in read_rows(path, columns.names())
    )
    return replace(columns, features=tuple(settled(features, rows, format_of(path))))


def _features(columns: Columns, text: "_Texts") -> dict[str, Value]:
    """Named values of a row; those of columns without a kind, as data was added before there were any, as they are."""
    if not columns.features:
        return {}
    values = {}
    for feature in columns.features:
        if isinstance(feature, str):
            return _untyped(columns.feature_names, text)
        try:
            values[feature.name] = feature.value(text.row[feature.name])
        except Unfit as e:
            other = "" if feature.kind == "text" else f", or take the column as {feature.name}:text"
            raise InvalidData(
                f"{text.place}: column '{feature.name}' is a {feature.kind}, and {e}; correct it{other}"
            ) from None
    return values


def _untyped(names: tuple[str, ...], text: "_Texts") -> dict[str, Value]:
    values = {name: text.row[name] for name in names}
    if wrong := [name for name, value in values.items() if not isinstance(value, str | int | float | None)]:
        kind = type(values[wrong[0]]).__name__
        raise InvalidData(f"{text.place}: column '{wrong[0]}' holds a {kind}; a feature is a number or a text")
    try:
        json.dumps(values, allow_nan=False)
    except ValueError as e:
        raise InvalidData(f"{text.place}: a feature is NaN or infinite; leave it empty instead") from e
    return values


def _answer(columns: Columns, text: "_Texts") -> str:
    """Of a table also a number or a truth value, written in one way."""
    if not columns.features or isinstance(columns.features[0], str):
        return text[columns.answer]
    try:
        answer = _ANSWER.value(text.row[columns.answer])
    except Unfit as e:
        raise InvalidData(f"{text.place}: column '{columns.answer}' {e}; it is the answer, write it as text") from None
    return "" if answer is None else str(answer)


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
