"""Columns that are a model's input, each of one kind: settled when the data is added, and kept beside the dataset.

A kind is never read off again: a record that leaves takes no column's type with it. Values of one table are the same
records whichever format they come from.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.core.record import Value

KINDS = ("number", "text", "category", "boolean", "date")
LEAST_HOLDERS = (
    5  # of a category that is read off a file: the list stays when people leave, so nobody's own may be in it
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SURE_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")  # no code such as 00501
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].+)?")
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none"))  # as files write it among numbers, booleans and dates
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_EXACT = 2**53  # below it every whole number is a float of its own


class Unfit(Exception):
    """What is wrong with a value, in words that do not hold it."""


@dataclass(frozen=True)
class Feature:
    """A column and its kind; without one it is settled by what the file holds.

    `number`: a 64-bit float. `text`: any text. `category`: one of a list of texts, which belongs to the column and not to
    the records. `boolean`: true or false. `date`: a day or an instant; one with a zone is kept as universal time. In all of
    them nothing (an empty cell, null, NaN) stays nothing.
    """

    name: str
    kind: str | None = None
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Feature":
        """A feature as it is written on the command line: `NAME`, `NAME:KIND`, or `NAME:ONE|OTHER` for a category.

        >>> Feature.of("plan:basic|full")
        Feature(name='plan', kind='category', categories=('basic', 'full'))
        """
        name, colon, kind = text.rpartition(":")
        if colon and kind in KINDS:
            return cls(name, kind)
        if colon and "|" in kind:
            return cls(name, "category", tuple(c for c in kind.split("|") if c))
        return cls(text)

    @classmethod
    def recorded(cls, value: Any) -> "Feature | str":
        """What `to_json` wrote; before columns had kinds, their names alone."""
        if isinstance(value, str):
            return value
        return cls(value["name"], value["kind"], tuple(value.get("categories", ())))

    def to_json(self) -> dict[str, Any]:
        listed = {"categories": list(self.categories)} if self.kind == "category" else {}
        return {"name": self.name, "kind": self.kind, **listed}

    def value(self, raw: Any) -> Value:
        """A value of a file as one of this kind; None for nothing. Raises: Unfit."""
        if raw is None or raw == "" or (isinstance(raw, float) and math.isnan(raw)):
            return None
        value: Value = _READ[self.kind or "text"](raw)
        if self.kind == "category" and value not in self.categories:
            raise Unfit("holds a text that is not in the list of its categories")
        return value


def as_json(values: Mapping[str, Value]) -> str:
    """Named values as the text that is committed to."""
    return json.dumps(
        {name: _written(v) if isinstance(v, datetime) else v for name, v in values.items()}, ensure_ascii=False
    )


def from_json(text: str, features: Sequence[Feature | str]) -> dict[str, Value]:
    """The named values that `as_json` wrote.

    >>> from_json('{"joined": "2024-02-29"}', [Feature("joined", "date")])
    {'joined': datetime.datetime(2024, 2, 29, 0, 0)}
    """
    values: dict[str, Any] = json.loads(text)
    for feature in features:
        if isinstance(feature, Feature) and feature.kind == "date" and values[feature.name] is not None:
            values[feature.name] = datetime.fromisoformat(values[feature.name])
    return values


def settled(
    features: Sequence[Feature], rows: Iterable[tuple[str, str, Mapping[str, Any]]], format: str
) -> list[Feature]:
    """These features, each with a kind; `rows` are the places of a file, whose record each is, and its values.

    What is declared is taken. Else a column is of the kind that its values have; texts of a CSV file, which has no other
    type, are numbers, booleans or dates where all of them are; texts of JSON, which has no dates, are dates where all of
    them are. Lists of categories that are not declared are read off the file.

    Raises: InvalidData, for a column of two kinds, or a category that few people have.
    """
    for feature in features:
        if feature.kind not in (None, *KINDS):
            raise InvalidParameter(
                f"feature '{feature.name}' cannot be a {feature.kind}; it is one of {', '.join(KINDS)}"
            )
    open_kinds = {f.name: list(_PREFERRED) for f in features if f.kind is None}
    listing = [f.name for f in features if f.kind == "category" and not f.categories]
    holders: dict[str, dict[str, set[str]]] = {name: {} for name in listing}
    for place, subject, row in rows:
        for name in (*open_kinds, *listing):
            try:
                if name in holders:
                    _note(holders[name], subject, row[name])
                else:
                    open_kinds[name] = _narrowed(open_kinds[name], row[name], format)
            except Unfit as e:
                raise InvalidData(f"{place}: column '{name}' {e}; say what it is, as in {name}:text") from None
    found = {name: Feature(name, kinds[0]) for name, kinds in open_kinds.items()}
    found |= {name: Feature(name, "category", _common(name, people)) for name, people in holders.items()}
    return [found.get(f.name, f) for f in features]


def _narrowed(possible: list[str], raw: Any, format: str) -> list[str]:
    """The kinds that a column may be of after one more value. Raises: Unfit."""
    found = _kinds_of(raw, format)
    if found and not (left := [kind for kind in possible if kind in found]):
        raise Unfit(f"holds a {found[0]}, and before it a {possible[0]}")
    return left if found else possible


def _note(holders: dict[str, set[str]], subject: str, raw: Any) -> None:
    """Whose a text is, until enough people are known. Raises: Unfit."""
    if raw is not None and raw != "":
        people = holders.setdefault(_text(raw), set())
        if len(people) < LEAST_HOLDERS:
            people.add(subject)


_PREFERRED = ("number", "boolean", "date", "text")


def _kinds_of(raw: Any, format: str) -> tuple[str, ...]:
    """The kinds that a value may be of; none for what is nothing in every kind. Raises: Unfit."""
    if raw is None or raw == "" or (isinstance(raw, float) and math.isnan(raw)):
        return ()
    if not isinstance(raw, str):
        if (kind := next((kind for types, kind in _TYPES if isinstance(raw, types)), None)) is None:
            raise Unfit(f"holds a {_type(raw)}; a feature is a number, a text, a boolean or a date")
        return (kind,)
    kinds = ["text"]
    if format.startswith("csv"):
        word = raw.strip().lower()
        if word in _MISSING:
            return _PREFERRED
        kinds += ["number"] * bool(_SURE_NUMBER.fullmatch(raw)) + ["boolean"] * (word in ("true", "false"))
    if not format.startswith("parquet") and _DATE.fullmatch(raw):
        try:
            _date(raw)
            kinds.append("date")
        except Unfit:
            pass
    return tuple(kinds)


def _common(name: str, holders: Mapping[str, set[str]]) -> tuple[str, ...]:
    if rare := sum(len(people) < LEAST_HOLDERS for people in holders.values()):
        raise InvalidData(
            f"{rare} of {len(holders)} texts of column '{name}' belong to fewer than {LEAST_HOLDERS} people, and a list of "
            f"categories stays when they leave; write the list out, as {name}:ONE|OTHER, or take the column as {name}:text"
        )
    return tuple(sorted(holders))


# -- values ------------------------------------------------------------------------------------------------------------


def _number(raw: Any) -> Value:
    """A 64-bit float, a whole one as an int: 1, 1.0 and 1e0 are one value."""
    if isinstance(raw, str):
        raw = raw.strip()
        if raw.lower() in _MISSING:
            return None
        if not _NUMBER.fullmatch(raw):
            raise Unfit("holds a text that is no number")
    elif not isinstance(raw, int | float | Decimal):
        raise Unfit(f"holds a {_type(raw)}, which is no number")
    try:
        number = float(raw)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise Unfit("holds an infinite number, or one too large for a float")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _text(raw: Any) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, date):
        return _written(_date(raw))
    if isinstance(raw, int | float | Decimal):
        return str(_number(raw))
    if not isinstance(raw, str):
        raise Unfit(f"holds a {_type(raw)}, which is no text")
    if not raw.isascii():
        try:
            raw.encode()
        except UnicodeEncodeError as e:
            raise Unfit("holds half a character (a lone surrogate)") from e
    return raw


def _boolean(raw: Any) -> Value:
    if isinstance(raw, bool):
        return raw
    word = str(_text(raw)).strip().lower()
    if word in _MISSING:
        return None
    if word not in _TRUTH:
        raise Unfit("holds a value that is neither true nor false")
    return _TRUTH[word]


def _date(raw: Any) -> Any:
    """A day or an instant without a zone, to the microsecond."""
    if isinstance(raw, str):
        raw = raw.strip()
        if raw.lower() in _MISSING:
            return None
        try:
            raw = datetime.fromisoformat(raw)
        except ValueError as e:
            raise Unfit("holds a text that is no date such as 2024-02-29 or 2024-02-29T12:30:00") from e
    if isinstance(raw, datetime):
        return raw.replace(tzinfo=None) if raw.tzinfo is None else raw.astimezone(UTC).replace(tzinfo=None)
    if not isinstance(raw, date):
        raise Unfit(f"holds a {_type(raw)}, which is no date")
    return datetime(raw.year, raw.month, raw.day)


def _written(value: Any) -> str:
    """An instant as text, a day without its midnight."""
    return str(value.date().isoformat() if value == datetime(value.year, value.month, value.day) else value.isoformat())


def _type(raw: Any) -> str:
    return type(raw).__name__


_TYPES = ((bool, "boolean"), ((int, float, Decimal), "number"), (date, "date"))
_READ: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "text": _text,
    "category": _text,
    "boolean": _boolean,
    "date": _date,
}
