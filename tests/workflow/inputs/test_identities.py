"""Whom a list names: nobody else than the person on the line, and nobody half."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.workflow.inputs.identities import read_identities

BREAKS = ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\x00", "\x1b", "\x9b", "\t"]


def given(tmp_path: Path, data: bytes, name: str = "who.txt") -> Any:
    (tmp_path / name).write_bytes(data)
    return read_identities(str(tmp_path / name))


@pytest.mark.parametrize("character", BREAKS, ids=lambda c: f"U+{ord(c):04X}")
def test_a_line_ends_at_a_newline_and_nowhere_else(character: str, tmp_path: Path) -> None:
    """Once a request for Ada<NEL>Lind erased Ada, and Lind."""
    with pytest.raises(InvalidData, match=rf"line 2 holds U\+{ord(character):04X}") as refused:
        given(tmp_path, f"Bo\nAda{character}Lind\n".encode())
    assert "Lind" not in str(refused.value)


@pytest.mark.parametrize("character", [*BREAKS, "\n"], ids=lambda c: f"U+{ord(c):04X}")
def test_such_a_name_is_asked_for_as_a_json_string(character: str, tmp_path: Path) -> None:
    found = given(tmp_path, json.dumps(f"Ada{character}Lind").encode() + b"\n", "who.jsonl")
    assert found.people == ((f"Ada{character}Lind",),)


def test_of_files_from_elsewhere_only_the_names_are_read(tmp_path: Path) -> None:
    """A byte-order mark, carriage returns, spaces and tabs around names, blank lines, one name twice, another form."""
    text = "\ufeffAda Lind\r\n\r\n  Bo\t\nAda Lind\n\nZoe\u0308\n"
    found = given(tmp_path, text.encode())
    assert (found.people, found.lines) == ((("Ada Lind",), ("Bo",), ("Zo\u00eb",)), 4)


@pytest.mark.parametrize("source", ["file", "-"])
def test_what_is_no_utf8_is_a_sentence(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"Ada\nZo\xeb\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape"))
    with pytest.raises(InvalidData, match="not UTF-8 from byte 6"):
        read_identities("-") if source == "-" else given(tmp_path, data)


def test_one_person_may_have_several_identities(tmp_path: Path) -> None:
    found = given(tmp_path, b'{"email": "ada@example.org", "customer": " c-17 "}\n"Bo"\n', "who.jsonl")
    assert found.people == (("ada@example.org", "c-17"), ("Bo",))


@pytest.mark.parametrize("line", ['{"email": 3}', "Ada", "[1]", "3", '"Ada', '"\\ud800"'])
def test_json_lines_hold_strings(line: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="line 1 is neither a JSON string"):
        given(tmp_path, line.encode(), "who.jsonl")


@pytest.mark.parametrize("data", [b"", b"\n  \n", b"\xef\xbb\xbf", b'""\n'])
def test_nobody_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(EmptyForgetSet):
        given(tmp_path, data, "who.jsonl" if b'"' in data else "who.txt")
