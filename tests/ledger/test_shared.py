"""A record about several people is committed to under all of them, and leaves when one of them does."""

import hmac
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.conftest import contents

from expunge.core.errors import InvalidData
from expunge.ledger import Columns, Ledger, read_records
from expunge.ledger.commitments import commitment
from expunge.ledger.manifests import read_manifest
from expunge.ledger.shared import joint_key

COLUMNS = Columns(subject="who", question="q", answer="a", id="id")
IN_CSV = Columns(subject="who", question="q", answer="a", id="id", separator=";")


def row(id: str, *who: str) -> dict[str, Any]:
    return {"id": id, "who": list(who) if len(who) > 1 else who[0], "q": f"What of {id}?", "a": "All is well."}


ROWS = [
    row("a1", "Ada"),
    row("ab", "Ada", "Bob"),
    row("ba", "Bob", "Ada"),
    row("b1", "Bob"),
    row("bc", "Bob", "Cleo"),
    row("abc", "Ada", "Bob", "Cleo"),
    row("c1", "Cleo"),
]


@pytest.fixture
def shared(ledger: Ledger, tmp_path: Path) -> Ledger:
    ledger.add_dataset("talk", _jsonl(tmp_path / "talk.jsonl"), COLUMNS)
    return ledger


def _jsonl(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def ids(ledger: Ledger) -> list[str]:
    return [one.record.id for one in ledger.live_data("talk").rows]


def erase(ledger: Ledger, *names: str) -> None:
    request = ledger.open_request("talk", names)
    ledger.entomb(request.id)
    ledger.finish_erasure(request.id)


def test_a_list_in_json_and_a_separator_in_csv_are_the_same_records(tmp_path: Path) -> None:
    lines = [
        f"{r['id']},{'; '.join(r['who']) if isinstance(r['who'], list) else r['who']},{r['q']},{r['a']}" for r in ROWS
    ]
    file = tmp_path / "talk.csv"
    file.write_text("\n".join(["id,who,q,a", *lines]))
    found = list(read_records(file, IN_CSV))
    assert found == list(read_records(_jsonl(tmp_path / "talk.jsonl"), COLUMNS))
    assert found[5].subjects == ("Ada", "Bob", "Cleo")


@pytest.mark.parametrize("who", [["Ada", ""], [], ["Ada", None], ["Ada", 1.5], ["Ada", ["Bob"]]])
def test_what_names_nobody_is_refused(ledger: Ledger, tmp_path: Path, who: list[Any]) -> None:
    file = _jsonl(tmp_path / "talk.jsonl", [{**ROWS[0], "who": who}])
    with pytest.raises(InvalidData, match=r"talk\.jsonl, line 1: "):
        ledger.add_dataset("talk", file, COLUMNS)
    assert ledger.datasets() == ()


def test_a_separator_is_a_sign(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="separator"):
        ledger.add_dataset("talk", _jsonl(tmp_path / "talk.jsonl"), Columns(subject="who", answer="a", separator=" "))


def test_everybody_is_found_and_counted(shared: Ledger) -> None:
    info = shared.dataset("talk")
    assert (info.n_records, info.n_subjects) == (7, 3)
    refs = shared.find_subjects("talk", ["Ada", "Bob", "Cleo"])
    assert [shared.count_records("talk", [refs[name]]) for name in ("Ada", "Bob", "Cleo")] == [4, 5, 3]
    assert [tuple(refs[name] for name in one.record.subjects) == one.refs for one in shared.live_data("talk").rows]
    request = shared.open_request("talk", ["Ada"]).id
    assert (shared.count_requested(request, "talk"), shared.count_requested_of_others(request, "talk")) == (4, 3)
    both = shared.open_request("talk", ["Bob", "Cleo"]).id
    assert shared.count_requested_of_others(both, "talk") == 3  # what is about these two alone is about nobody else


def test_the_commitment_needs_everybodys_key(shared: Ledger) -> None:
    """Written down a second time, from the two keys alone."""
    one = next(found for found in shared.live_data("talk").rows if found.record.id == "ab")
    first, second = sorted(shared.keys.subjects.get(ref) for ref in one.refs)
    key = hmac.digest(first + second, b"expunge/several-subjects/v1", "sha256")
    parts = [part.encode() for part in ("expunge/rec/v2", "talk", "ab", one.record.question, one.record.answer)]
    of_record = hmac.digest(key, struct.pack(">5Q", *map(len, parts)) + b"".join(parts), "sha256")
    whose = hmac.digest(key, struct.pack(">Q", 4) + b"expunge/person/v2talk", "sha256")
    assert one.commitment == whose[:8] + of_record[:24] == commitment(key, "talk", one.record)
    assert one.commitment not in {commitment(k, "talk", one.record) for k in (first, second)}


def test_one_of_them_leaves_and_the_record_with_them(shared: Ledger) -> None:
    gone = {one.commitment for one in shared.live_data("talk").rows if "Ada" in one.record.subjects}
    erase(shared, "Ada")
    assert ids(shared) == ["b1", "bc", "c1"]
    assert (shared.dataset("talk").n_records, shared.dataset("talk").n_subjects) == (3, 2)
    assert shared.entombed("talk") == gone
    assert not gone & read_manifest(shared.manifests, shared.dataset("talk").manifest).keys()
    erase(shared, "Bob")
    assert ids(shared) == ["c1"]
    assert shared.find_subjects("talk", ["Cleo"])


def test_what_stays_of_the_others_does_not_find_what_left(shared: Ledger) -> None:
    """With all keys in hand, every erased record is tried against every file."""
    rows = {one.record.id: one for one in shared.live_data("talk").rows}
    erase(shared, "Ada")
    keys = list(shared.keys.subjects.all().values())
    everything = b"".join(contents(shared.root).values())
    gone = [one.record for one in rows.values() if "Ada" in one.record.subjects]
    tried = [joint_key([a, b]) for a in keys for b in keys if a != b] + keys
    for record in gone:
        assert not any(commitment(key, "talk", record) in everything for key in tried)
    assert rows["ab"].commitment in everything  # the control: the tombstone is there, and only the dead key leads to it
    assert rows["ab"].subject.encode() not in everything


def test_the_same_two_people_in_another_order_are_one_company(shared: Ledger) -> None:
    rows = {one.record.id: one for one in shared.live_data("talk").rows}
    assert rows["ab"].subject == rows["ba"].subject != rows["abc"].subject
    assert rows["ab"].subject not in shared.keys.subjects.all()


def test_a_dataset_with_companies_grows(shared: Ledger, tmp_path: Path) -> None:
    more = [row("ac", "Ada", "Cleo"), row("ad", "Ada", "Dora"), row("ab2", "Ada", "Bob")]
    growth = shared.grow_dataset("talk", _jsonl(tmp_path / "talk.jsonl", [*ROWS, *more]), COLUMNS)
    assert (growth.n_new, growth.n_people, growth.dataset.n_subjects) == (3, 1, 4)
    rows = {one.record.id: one for one in shared.live_data("talk").rows}
    assert rows["ab"].subject == rows["ab2"].subject
    assert shared.count_records("talk", [shared.find_subjects("talk", ["Dora"])["Dora"]]) == 1


def test_rows_of_companies_may_go_first_and_are_followed(ledger: Ledger, tmp_path: Path) -> None:
    plain = Columns(subject="who", question="q", answer="a")
    file = _jsonl(tmp_path / "talk.jsonl")
    ledger.add_dataset("talk", file, plain)
    ledger.open_request("talk", ["Ada"])
    followed = ledger.follow_file("talk", _jsonl(file, [one for one in ROWS if "Ada" not in one["who"]]))
    assert (followed.n_matched, followed.n_gone) == (3, 4)
    assert ids(ledger) == ["row-4", "row-5", "row-7"]


def test_records_about_one_person_are_committed_to_as_ever(shared: Ledger) -> None:
    one = shared.live_data("talk").rows[0]
    assert (one.record.id, one.refs) == ("a1", (one.subject,))
    assert one.commitment == commitment(shared.keys.subjects.get(one.subject), "talk", one.record)
