"""Who asks to be forgotten: read from a file or standard input, never from arguments."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.core.identity import canonical_identity, unwritable_in

JSON_LINES = ".jsonl"


@dataclass(frozen=True)
class Identities:
    """Of each person the identities in their one spelling, each person once, and how many lines named one."""

    people: tuple[tuple[str, ...], ...]
    lines: int


def read_identities(source: str) -> Identities:
    """One person a line; '-' is standard input. In a file whose name ends in `.jsonl` a line is a JSON string, or an object with
    several identities of one person by kind: `{"email": "ada@example.org", "customer": "c-17"}`.

    A line ends at a newline and nowhere else: what other programs take for the end of a line may stand within a name, and
    half a name may be somebody else's. Lines that hold such a character are refused, by number and without quoting them.

    Raises: InvalidData; EmptyForgetSet.
    """
    read = _of_json if source.endswith(JSON_LINES) else _of_text
    named = [read(place, line) for place, line in _lines(source)]
    spelled = (tuple(dict.fromkeys(filter(None, map(canonical_identity, person)))) for person in named)
    people = [person for person in spelled if person]
    if not people:
        raise EmptyForgetSet("no identities were given; write one a line")
    return Identities(tuple(dict.fromkeys(people)), len(people))


def read_record_ids(source: str) -> tuple[str, ...]:
    """The ids of records, one a line, each once; '-' is standard input. In a file whose name ends in `.jsonl` a JSON string a line.

    An id may hold personal data, so that lines are refused as for identities, by number and without quoting them.

    Raises: InvalidData; EmptyForgetSet.
    """
    read = _of_json if source.endswith(JSON_LINES) else _of_text
    found = [read(place, line) for place, line in _lines(source)]
    if several := sum(len(ids) != 1 for ids in found):
        raise InvalidData(f"{several} lines name no single record; write one id a line")
    ids = tuple(dict.fromkeys(one if source.endswith(JSON_LINES) else one.strip(" \t") for (one,) in found))
    if not ids:
        raise EmptyForgetSet("no records were named; give their ids, one a line")
    return ids


def _lines(source: str) -> list[tuple[str, str]]:
    """The lines of a file that are not blank, each with its place. Raises: InvalidData."""
    place = "standard input" if source == "-" else source
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as e:
        raise InvalidData(f"cannot read what is asked for from {place}: {e}") from e
    except UnicodeDecodeError as e:
        raise InvalidData(
            f"{place} is not UTF-8 from byte {e.start} on, so whom it names is not known; save it as UTF-8"
        ) from None
    lines = [(number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), start=1)]
    return [(f"{place}, line {number}", line) for number, line in lines if line.strip(" \t")]


def _of_text(place: str, line: str) -> tuple[str, ...]:
    if character := unwritable_in(line.strip(" \t")):
        raise InvalidData(
            f"{place} holds {character}, which may end a line or stand within a name; write one identity a line, and "
            f"one that holds this character as a JSON string in a file that ends in {JSON_LINES}"
        )
    return (line,)


def _of_json(place: str, line: str) -> tuple[str, ...]:
    try:
        person = json.loads(line)
        identities = tuple(person.values()) if isinstance(person, dict) else (person,)
        for identity in identities:
            identity.encode()
    except (ValueError, AttributeError):
        raise InvalidData(
            f'{place} is neither a JSON string, as "Ada Lind", nor an object of them, as {{"email": "ada@example.org"}}'
        ) from None
    return identities
