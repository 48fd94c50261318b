import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Fact
from expunge.core.errors import EmptyForgetSet, InvalidData
from expunge.verify import Probes, read_probes

ROW: dict[str, Any] = {"question": "Where was Ada born?", "answer": "In Brimford."}
FACT = Fact("1", "Ada", "Where was Ada born?", "In Brimford.", value="Brimford")


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "probes.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_rows_become_facts(tmp_path: Path) -> None:
    full = {
        **ROW,
        "id": 7,
        "subject": "Ada",
        "value": "Brimford",
        "paraphrases": [["q", "a"]],
        "perturbed": ["In York."],
    }
    first, second = read_probes(write(tmp_path, json.dumps(full), "", json.dumps(ROW)))
    assert first == Fact("7", "Ada", ROW["question"], ROW["answer"], "Brimford", (("q", "a"),), ("In York.",))
    assert second == Fact("line-3", "", ROW["question"], ROW["answer"])


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b"])
def test_a_line_separator_within_a_string_does_not_end_the_line(tmp_path: Path, separator: str) -> None:
    line = json.dumps({**ROW, "answer": f"one{separator}two"}, ensure_ascii=False)
    if separator < " ":
        line = json.dumps({**ROW, "answer": f"one{separator}two"})
    (fact,) = read_probes(write(tmp_path, line))
    assert fact.answer == f"one{separator}two"


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        "[]",
        "null",
        '"text"',
        json.dumps({"question": "Where?"}),
        json.dumps({"answer": "There."}),
        *(
            json.dumps({**ROW, **change})
            for change in (
                {"question": None},
                {"answer": None},
                {"answer": 7},
                {"answer": "  "},
                {"value": None},
                {"subject": ["Ada"]},
                {"paraphrases": "ab"},
                {"paraphrases": ["ab"]},
                {"paraphrases": [["q"]]},
                {"paraphrases": [["q", None]]},
                {"perturbed": "abc"},
                {"perturbed": [None]},
            )
        ),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InvalidData, match="line 3"):
        read_probes(write(tmp_path, json.dumps(ROW), "", wrong))


def test_a_file_without_probes_is_refused(tmp_path: Path) -> None:
    for act in (lambda: read_probes(write(tmp_path, "", " ")), lambda: read_probes(tmp_path / "nowhere")):
        with pytest.raises(InvalidData):
            act()
    (tmp_path / "latin").write_bytes(b'{"question": "\xe9"}')
    with pytest.raises(InvalidData, match="cannot read"):
        read_probes(tmp_path / "latin")


def test_an_audit_without_facts_is_refused() -> None:
    with pytest.raises(EmptyForgetSet):
        Probes((), (FACT,))
    with pytest.raises(InvalidData, match="unique"):
        Probes((FACT, FACT), ())


def test_a_non_member_that_was_trained_on_is_refused() -> None:
    stranger = replace(FACT, id="2", subject="Bo", question="Where was Bo born?")
    Probes((FACT,), (), (stranger,))
    for forget, retain in (((FACT,), ()), ((stranger,), (FACT,))):
        with pytest.raises(InvalidData, match="strangers"):
            Probes(forget, retain, (replace(FACT, id="other"),))


def test_any_change_changes_the_digest() -> None:
    other = replace(FACT, value="York")
    variants = [
        Probes((FACT,), ()),
        Probes((other,), ()),
        Probes((FACT,), (other,)),
        Probes((FACT,), (), (replace(FACT, answer="x"),)),
    ]
    assert len({p.digest() for p in variants}) == len(variants)
