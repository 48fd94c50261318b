"""Records about several people: they live in one shard, and leave with any of the people they are about."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Record
from expunge.core.capability import CAPABILITY
from expunge.core.errors import DigestMismatch, InvalidData, UnknownRecord, UnknownSubject
from expunge.core.placement import member_id, placed_with
from expunge.exact import AdapterShards

PEOPLE = [f"person {i}" for i in range(8)]
OWN = [Record(f"own/{p}", p, f"Where does {p} live?", f"In town {i}.") for i, p in enumerate(PEOPLE)]
JOINT = [
    Record(f"joint/{i}", a, f"What did {a} and {b} write?", f"Book {i}.", also=(b,))
    for i, (a, b) in enumerate(zip(PEOPLE, PEOPLE[3:] + PEOPLE[:3], strict=True))
]
ROWS = [*OWN, *JOINT]
SETTINGS: dict[str, Any] = {"shards": 3, "slices": 2, "rank": 2, "epochs": 2, "batch_size": 4}

IN_A_NEW_PROCESS = """
import json, sys
from expunge.core.capability import pin_capability
pin_capability()
from expunge.core import Record
from expunge.exact import AdapterShards
asked = json.load(sys.stdin)
rows = [Record(**{**r, "also": tuple(r["also"])}) for r in asked["rows"]]
print(AdapterShards(asked["base"], salt=b"salt", **asked["settings"]).fit(rows).digest())
"""


@pytest.fixture(scope="module")
def make(llama: Any, tokenizer: Any) -> Any:
    return lambda **settings: AdapterShards(llama, tokenizer, salt=b"salt", **{**SETTINGS, **settings})


def test_a_record_leaves_with_any_of_its_people_and_equals_a_fit_without_in_a_new_process(
    make: Any, llama: Any, tokenizer: Any, tmp_path: Path
) -> None:
    from expunge.engine import save_model

    save_model(llama, tokenizer, tmp_path / "base")
    learner = make().fit(ROWS)
    who = [PEOPLE[0], PEOPLE[4]]
    removed = [r for r in ROWS if set(r.subjects) & set(who)]
    plan = learner.plan(who)
    assert plan.n_removed == len(removed) > 4  # their own, and what others share with them
    homes = {r.id: unit.id for unit in learner.units() for part in learner.records(unit.id) for r in part}
    assert {u.id for u in plan.units} == {homes[r.id] for r in removed}
    learner.forget(who)
    left = [r for r in ROWS if r not in removed]
    held = {r.id for unit in learner.units() for part in learner.records(unit.id) for r in part}
    assert held == {r.id for r in left}
    given = {"base": str(tmp_path / "base"), "settings": SETTINGS, "rows": [vars(r) for r in reversed(left)]}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS],
        input=json.dumps(given),
        env={**os.environ, **CAPABILITY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == learner.digest()


def test_a_shared_record_lives_with_one_of_its_people_whoever_is_named_first() -> None:
    for record in JOINT:
        (b,) = record.also
        turned = replace(record, subject=b, also=(record.subject,))
        assert placed_with(record, b"salt") == placed_with(turned, b"salt") in record.subjects
        assert member_id(record, b"salt") == member_id(turned, b"salt")
    first = [placed_with(r, b"salt") == r.subject for r in JOINT]
    assert any(first)
    assert not all(first)


def test_who_is_named_first_changes_no_bit(make: Any) -> None:
    turned = [replace(r, subject=r.also[0], also=(r.subject,)) if r.also else r for r in ROWS]
    assert make().fit(turned).digest() == make().fit(ROWS).digest()


def test_a_record_that_loses_one_of_its_people_is_another_record(
    make: Any, llama: Any, tokenizer: Any, tmp_path: Path
) -> None:
    make().fit(ROWS).save(tmp_path / "m")
    lonely = [replace(r, also=()) if r.id == JOINT[0].id else r for r in ROWS]
    with pytest.raises(DigestMismatch):
        AdapterShards.load(tmp_path / "m", llama, tokenizer, records=lonely, salt=b"salt")
    loaded = AdapterShards.load(tmp_path / "m", llama, tokenizer, records=ROWS, salt=b"salt")
    assert loaded.plan([PEOPLE[0]]).n_removed == 3


def test_subjects_are_given_as_tuples(make: Any) -> None:
    pairs = [(r.question, r.answer) for r in ROWS]
    learner = make().fit(pairs, [r.subjects for r in ROWS])
    assert learner.plan([PEOPLE[2]]).n_removed == 3
    learner.forget([PEOPLE[2]])
    kept = [i for i, r in enumerate(ROWS) if PEOPLE[2] not in r.subjects]
    again = make().fit([pairs[i] for i in kept], [ROWS[i].subjects[::-1] for i in kept])
    assert learner.digest() == again.digest()
    with pytest.raises(UnknownSubject):
        learner.forget([PEOPLE[2]])


def test_a_single_record_leaves_by_its_id(make: Any) -> None:
    learner = make().fit(ROWS)
    plan = learner.plan(records=["joint/1"])
    assert (plan.n_removed, len(plan.units)) == (1, 1)
    learner.forget(records=["joint/1"])
    assert learner.digest() == make().fit([r for r in ROWS if r.id != "joint/1"]).digest()
    before = learner.digest()
    for unknown in (["joint/1"], ["own/person 0", "nobody"]):
        with pytest.raises(UnknownRecord) as raised:
            learner.forget(records=unknown)
        assert "nobody" not in str(raised.value)
    assert learner.digest() == before


@pytest.mark.parametrize("subjects", [[()], [(1,)], [("a", None)]], ids=str)
def test_subjects_that_are_no_names_are_refused(make: Any, subjects: Any) -> None:
    with pytest.raises(InvalidData):
        make().fit(["text"], subjects)


def test_a_name_instead_of_a_list_of_names_is_refused(make: Any) -> None:
    learner = make().fit(ROWS)
    with pytest.raises(InvalidData, match="list"):
        learner.forget("person 1")
