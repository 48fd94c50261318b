import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.ledger.conftest import COLUMNS, rows_of, write_csv

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.ledger import Columns, read_records

Rows = list[dict[str, str]]


def _jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n\n", encoding="utf-8")
    return path


def _parquet(path: Path, rows: Rows) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _gz(write: Callable[[Path, Rows], Path]) -> Callable[[Path, Rows], Path]:
    def packed(path: Path, rows: Rows) -> Path:
        plain = write(path.with_suffix(".tmp"), rows)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path

    return packed


WRITERS = {
    "p.csv": write_csv,
    "p.jsonl": _jsonl,
    "p.csv.gz": _gz(write_csv),
    "p.jsonl.gz": _gz(_jsonl),
    "p.parquet": _parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    rows = [*rows_of(), {"id": "x", "author": "Ö", "q": 'comma, "quote"', "a": "two\nlines"}]
    assert list(read_records(WRITERS[name](tmp_path / name, rows), COLUMNS)) == [
        Record(r["id"], r["author"], r["q"], r["a"]) for r in rows
    ]


@pytest.mark.parametrize("name", WRITERS)
def test_plain_documents_without_ids_are_named_by_row(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, rows_of(each=1))
    records = list(read_records(path, Columns(subject="author", answer="a", value="q")))
    assert [r.id for r in records] == ["row-1", "row-2", "row-3"]
    assert {r.question for r in records} == {""}
    assert records[0].value == "Where was Ada Lovelace in year 0?"


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_column_is_named_with_those_found(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, rows_of())
    with pytest.raises(
        InvalidData, match=rf"{name}.*no column 'autor'.*'id', 'author', 'q', 'a'; did you mean 'author'"
    ):
        list(read_records(path, Columns(subject="autor", answer="a")))


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_record_with_an_id_is_refused_without_printing_it(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, [*rows_of(each=1), rows_of(each=1)[1]])
    with pytest.raises(InvalidData, match=rf"{name}, (line|row) \d: the same id as (line|row) \d") as e:
        list(read_records(path, COLUMNS))
    assert "rec-" not in str(e.value)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("subject", ["", "  \t"])
def test_an_empty_subject_is_refused(tmp_path: Path, name: str, subject: str) -> None:
    rows = rows_of(each=1)
    rows[1]["author"] = subject
    with pytest.raises(InvalidData, match=rf"{name}, (line 3|line 2|row 2): the subject is empty"):
        list(read_records(WRITERS[name](tmp_path / name, rows), COLUMNS))


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InvalidData, match=f"{name} is empty"):
        list(read_records(tmp_path / name, COLUMNS))


@pytest.mark.parametrize("name", ["p.csv.gz", "p.jsonl.gz", "p.parquet"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, rows_of(each=500))
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 3, 15):
        path.write_bytes(whole[:kept])
        with pytest.raises(InvalidData, match=f"{name} is truncated"):
            list(read_records(path, COLUMNS))


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.csv", b"id,author,q,a\n1,Ada,x,y\n2,Ada,x\n", "line 3: 3 values under 4 columns"),
        ("p.csv", b'id,author,q,a\n1,Ada,x,"y\n', "not valid CSV"),
        ("p.csv", b"id,author,q,a\n1,Ada,x,y\n2,Ad\xe9,x,y\n", "line 3: not UTF-8"),
        ("p.csv", b"id,author,q,a,a\n1,Ada,x,y,z\n", "several columns 'a'"),
        ("p.csv", b"id,author,q,a\n", "holds no records"),
        ("p.csv", b"id,author,q,a\n,Ada,x,y\n", "line 2: the id is empty"),
        ("p.csv.gz", b"id,author,q,a\n1,Ada,x,y\n", "not gzip"),
        ("p.parquet", b"id,author,q,a\n1,Ada,x,y\n", "not Parquet"),
        (
            "p.jsonl",
            b'{"id": "1", "author": "Ada", "q": "", "a": "b"}\n{"id": "2", "auth',
            "line 2: not valid JSON",
        ),
        ("p.jsonl", b'{"id": "1", "author": "Ad\xe9", "q": "", "a": ""}\n', "line 1: not UTF-8"),
        ("p.jsonl", b'["Ada"]\n', "line 1: expected an object"),
        ("p.jsonl", b"\n\n", "holds no records"),
        ("p.jsonl", b'{"id": 1.5, "author": "Ada", "q": "", "a": ""}\n', "column 'id' holds a float"),
        ("p.jsonl", b'{"id": "1", "author": true, "q": "", "a": ""}\n', "column 'author' holds a bool"),
        ("p.jsonl", b'{"id": "1", "author": "Ada", "q": "", "a": ["b"]}\n', "column 'a' holds a list"),
        ("p.jsonl", b'{"id": "1", "author": "\\ud800", "q": "", "a": ""}\n', "half a character"),
        ("p.jsonl", b"[" * 100_000 + b"\n", "nested too deep"),
        ("p.txt", b"x", "no known format"),
        ("p.parquet.gz", b"x", "no known format"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(InvalidData, match=said) as e:
        list(read_records(_write(tmp_path / name, data), COLUMNS))
    assert name in str(e.value)
    assert "Ada" not in str(e.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"no file at .*gone\.csv"):
        list(read_records(tmp_path / "gone.csv", COLUMNS))


def test_numbers_and_nulls_read_as_text(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.jsonl", b'{"id": 7, "author": 12, "q": null, "a": "b"}\n')
    assert list(read_records(path, COLUMNS)) == [Record("7", "12", "", "b")]


def test_a_byte_order_mark_and_long_documents_are_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.csv", b"\xef\xbb\xbfid,author,q,a\r\n1, Zoe\xcc\x88 ,," + b"x" * 300_000 + b"\r\n")
    (record,) = read_records(path, COLUMNS)
    assert (record.id, record.subject, len(record.answer)) == ("1", "Zo\u00eb", 300_000)


def test_features_are_a_record_of_named_values(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"who": "ann", "age": 39, "rate": 0.5, "job": "clerk", "y": "no"}\n')
    columns = Columns(subject="who", answer="y", features=("age", "rate", "job"))
    (record,) = read_records(path, columns)
    assert record.question == '{"age": 39, "rate": 0.5, "job": "clerk"}'


@pytest.mark.parametrize("value, fault", [("NaN", "NaN"), ("[1]", "list"), ("Infinity", "infinite")])
def test_a_feature_is_a_number_or_a_text(tmp_path: Path, value: str, fault: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text(f'{{"who": "ann", "age": {value}, "y": "no"}}\n')
    with pytest.raises(InvalidData, match=fault):
        list(read_records(path, Columns(subject="who", answer="y", features=("age",))))
