"""Columns that are a model's input: kinds are settled once, and one table is the same records in every format."""

import csv
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.ledger import Columns, Feature, Ledger, read_records
from expunge.ledger.features import as_json, from_json
from expunge.ledger.sources import settled_columns

ROWS: list[dict[str, Any]] = [
    {"who": "ann", "age": 39, "rate": 0.5, "job": "clerk", "member": True, "joined": "2024-02-29", "y": "no"},
    {"who": "bob", "age": None, "rate": 2.0, "job": None, "member": None, "joined": None, "y": "yes"},
    {"who": "cem", "age": 41, "rate": -0.0, "job": "Zoë, chef", "member": False, "joined": "2023-01-01", "y": "no"},
]
NAMES = ("age", "rate", "job", "member", "joined")
KINDS = ["number", "number", "text", "boolean", "date"]


def columns(*features: Feature | str, **more: Any) -> Columns:
    return Columns(subject="who", answer="y", features=features, **more)


def as_csv(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    written = {True: "true", False: "False", None: ""}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: written[v] if v is None or isinstance(v, bool) else v for k, v in row.items()})
    return path


def as_jsonl(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]] = ROWS, unit: str = "us") -> Path:
    typed = [row | {"joined": row["joined"] and datetime.fromisoformat(row["joined"])} for row in rows]
    table = pa.Table.from_pylist(typed)
    at = table.schema.get_field_index("joined")
    column = table.column(at).cast(pa.date32() if unit == "day" else pa.timestamp(unit))
    pq.write_table(table.set_column(at, "joined", column), path)
    return path


@pytest.mark.parametrize("unit", ["day", "s", "us", "ns"])
def test_one_table_is_the_same_records_in_every_format(tmp_path: Path, unit: str) -> None:
    files = [as_csv(tmp_path / "t.csv"), as_jsonl(tmp_path / "t.jsonl"), as_parquet(tmp_path / "t.parquet", unit=unit)]
    found = []
    for file in files:
        settled = settled_columns(file, columns(*NAMES))
        assert [f.kind for f in settled.features if isinstance(f, Feature)] == KINDS
        found.append([(r, r.features) for r in read_records(file, settled)])
    assert found[0] == found[1] == found[2]
    (_, ann), (_, bob), (cem, values) = found[0]
    assert ann == {"age": 39, "rate": 0.5, "job": "clerk", "member": True, "joined": datetime(2024, 2, 29)}
    assert set(bob.values()) == {None, 2}
    assert cem.question == '{"age": 41, "rate": 0, "job": "Zoë, chef", "member": false, "joined": "2023-01-01"}'
    assert from_json(cem.question, settled.features) == values


def test_a_record_that_leaves_the_file_changes_no_kind(tmp_path: Path) -> None:
    """The person with the only text leaves: what stays would look like numbers, and is text as it was recorded."""
    rows = [{"who": "ann", "code": "7", "y": "no"}, {"who": "bob", "code": "A7", "y": "no"}]
    file = as_csv(tmp_path / "t.csv", rows)
    ledger = Ledger.create(tmp_path / "p")
    info = ledger.add_dataset("t", file, columns("code"))
    assert info.columns.features == (Feature("code", "text"),)
    as_csv(file, rows[:1])
    assert settled_columns(file, columns("code")).features == (
        Feature("code", "number"),
    )  # what looking again would say
    (record,) = read_records(file, ledger.dataset("t").columns)
    assert record.features == {"code": "7"}


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2.5", "-3e2"], "number", [1, 2.5, -300]),
        (["1", "", "NA", "nan", "N/A"], "number", [1, None, None, None, None]),
        (["00501", "10001"], "text", ["00501", "10001"]),
        (["+1", "2"], "text", ["+1", "2"]),
        (["None", "Rich"], "text", ["None", "Rich"]),
        (["TRUE", "false", ""], "boolean", [True, False, None]),
        (["2024-02-29", "2024-02-29T12:30:00+02:00"], "date", [datetime(2024, 2, 29), datetime(2024, 2, 29, 10, 30)]),
        (["2024-02-30", "2024-02-29"], "text", ["2024-02-30", "2024-02-29"]),
        (["", ""], "number", [None, None]),
        (["true", "1"], "text", ["true", "1"]),
        (["inf", "1"], "text", ["inf", "1"]),
    ],
)
def test_a_column_of_csv_is_what_all_its_cells_are(
    tmp_path: Path, cells: list[str], kind: str, values: list[Any]
) -> None:
    rows = [{"who": f"p{i}", "x": cell, "y": "no"} for i, cell in enumerate(cells)]
    file = as_csv(tmp_path / "t.csv", rows)
    settled = settled_columns(file, columns("x"))
    assert settled.features == (Feature("x", kind),)
    assert [r.features["x"] for r in read_records(file, settled)] == values


@pytest.mark.parametrize(
    ("declared", "cells", "values"),
    [
        ("number", ["007", " 1. ", "null", 5, 2.0], [7, 1, None, 5, 2]),
        ("text", ["a", 1, 2.0, True, "NA"], ["a", "1", "2", "true", "NA"]),
        ("boolean", ["true", 1, 0, False, "n/a"], [True, True, False, False, None]),
        ("date", ["20240229", None, " 2024-02-29 "], [datetime(2024, 2, 29), None, datetime(2024, 2, 29)]),
    ],
)
def test_what_is_declared_is_taken(tmp_path: Path, declared: str, cells: list[Any], values: list[Any]) -> None:
    rows = [{"who": f"p{i}", "x": cell, "y": "no"} for i, cell in enumerate(cells)]
    file = as_jsonl(tmp_path / "t.jsonl", rows)
    settled = settled_columns(file, columns(Feature("x", declared)))
    assert [r.features["x"] for r in read_records(file, settled)] == values


@pytest.mark.parametrize(
    ("feature", "value", "says"),
    [
        ("x:number", "secret", "column 'x' is a number, and holds a text that is no number"),
        ("x:number", 1e400, "infinite"),
        ("x:number", 10**400, "infinite"),
        ("x:number", True, None),
        ("x:boolean", "secret", "neither true nor false"),
        ("x:boolean", 2, "neither true nor false"),
        ("x:date", "secret", "no date"),
        ("x:date", 5, "holds a int, which is no date"),
        ("x:text", ["secret"], "holds a list, which is no text"),
        ("x:text", "\ud800", "half a character"),
        ("x:red|green", "secret", "not in the list of its categories"),
        ("x", ["secret"], "holds a list; a feature is a number, a text, a boolean or a date"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_place(
    tmp_path: Path, feature: str, value: Any, says: str | None
) -> None:
    rows = [{"who": "ann", "x": None, "y": "no"}, {"who": "bob", "x": value, "y": "no"}]
    ledger, file = Ledger.create(tmp_path / "p"), as_jsonl(tmp_path / "t.jsonl", rows)
    if says is None:  # True is 1, as everywhere in Python
        ledger.add_dataset("t", file, columns(Feature.of(feature)))
        return
    with pytest.raises(InvalidData, match=says) as e:
        ledger.add_dataset("t", file, columns(Feature.of(feature)))
    assert "t.jsonl, line 2" in str(e.value)
    assert "secret" not in str(e.value)
    assert ledger.datasets() == ()


def test_a_column_of_two_kinds_has_to_be_declared(tmp_path: Path) -> None:
    rows = [{"who": "ann", "x": 1, "y": "no"}, {"who": "bob", "x": "secret", "y": "no"}]
    file = as_jsonl(tmp_path / "t.jsonl", rows)
    with pytest.raises(InvalidData, match=r"line 2: column 'x' holds a text, and before it a number; .*x:text") as e:
        settled_columns(file, columns("x"))
    assert "secret" not in str(e.value)


def test_categories_are_declared_or_read_off_where_many_have_them(tmp_path: Path) -> None:
    common = [{"who": f"p{i}", "x": ["b", "a"][i % 2], "y": "no"} for i in range(10)]
    file = as_jsonl(tmp_path / "t.jsonl", [*common, {"who": "none", "x": None, "y": "no"}])
    assert settled_columns(file, columns(Feature.of("x:category"))).features == (Feature("x", "category", ("a", "b")),)
    assert Feature.of("x:b|a") == Feature("x", "category", ("b", "a"))

    # one person's records do not make a text common: the list would tell of them after they left
    theirs = [{"who": "ann", "x": "secret", "y": "no"} for _ in range(9)]
    with pytest.raises(InvalidData, match=r"1 of 3 texts of column 'x' belong to fewer than 5 people") as e:
        settled_columns(as_jsonl(file, [*common, *theirs]), columns(Feature.of("x:category")))
    assert "secret" not in str(e.value)


def test_features_are_written_with_their_kinds(tmp_path: Path) -> None:
    assert Feature.of("x") == Feature("x")
    assert Feature.of("a:b") == Feature("a:b")  # a column's own name
    assert Feature.of("a:b:date") == Feature("a:b", "date")
    with pytest.raises(InvalidParameter, match=r"'x' cannot be a colour; it is one of number"):
        settled_columns(as_jsonl(tmp_path / "t.jsonl"), columns(Feature("x", "colour")))
    with pytest.raises(InvalidData, match="'age' is named twice"):
        settled_columns(as_jsonl(tmp_path / "t.jsonl"), columns("age", Feature("age", "text")))


def test_kinds_are_kept_with_the_dataset(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "p")
    given = columns(Feature.of("job:clerk|Zoë, chef"), "age", "joined", id="who")
    info = ledger.add_dataset("t", as_jsonl(tmp_path / "t.jsonl"), given)
    kinds = (Feature("job", "category", ("clerk", "Zoë, chef")), Feature("age", "number"), Feature("joined", "date"))
    assert info.columns.features == kinds
    again = Ledger.open(ledger.root)
    assert again.dataset("t").columns == info.columns
    assert again.live_records("t")[1].features == {"job": None, "age": None, "joined": None}


def test_a_dataset_of_columns_without_kinds_keeps_its_records(tmp_path: Path) -> None:
    """As they were added before there were kinds: values as they were found, 2.0 and not 2."""
    ledger, file = Ledger.create(tmp_path / "p"), as_jsonl(tmp_path / "t.jsonl")
    assert [r.question for r in read_records(file, columns("age", "rate"))][1] == '{"age": null, "rate": 2.0}'
    ledger.add_dataset("t", file, columns("age"))
    with ledger.database.write() as session:
        session.execute(text("UPDATE dataset SET feature_columns = '[\"age\"]'"))
    assert ledger.dataset("t").columns == columns("age")
    assert [r.features["age"] for r in ledger.live_records("t")] == [39, None, 41]


def test_answers_of_a_table_may_be_numbers_and_truth_values(tmp_path: Path) -> None:
    rows = [{"who": f"p{i}", "x": 1, "y": y} for i, y in enumerate([1.5, 2.0, True, date(2024, 2, 29), Decimal("3")])]
    for one in rows:
        path = tmp_path / "t.parquet"
        pq.write_table(pa.Table.from_pylist([one]), path)
        settled = settled_columns(path, columns("x"))
        assert [r.answer for r in read_records(path, settled)] == [
            {"p0": "1.5", "p1": "2", "p2": "true", "p3": "2024-02-29", "p4": "3"}[one["who"]]
        ]


ZONED = st.datetimes(timezones=st.just(timezone(timedelta(hours=2))))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_infinity=False), ZONED)


@given(VALUES, st.sampled_from(["number", "boolean", "date", "text"]))
def test_a_value_read_again_is_itself(raw: Any, kind: str) -> None:
    """What was made of a value is made of it again, so that a record keeps its commitment."""
    from expunge.ledger.features import Unfit

    feature = Feature("x", kind)
    try:
        value = feature.value(raw)
    except Unfit:
        return
    assert feature.value(value) == value
    assert from_json(as_json({"x": value}), [feature]) == {"x": value}
