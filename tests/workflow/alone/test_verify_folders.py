"""Somebody's own files: every bad line is named, nothing is guessed, and what runs is what was committed."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expunge.core import Fact
from expunge.core.errors import DigestMismatch, ExpungeError, InvalidData, InvalidParameter, UnknownMethod
from expunge.verify import read_probes
from expunge.workflow.alone import verify_folders as folders
from expunge.workflow.alone.verify_folders import audit_folders, check_committed, commit, read_question, score_folder
from expunge.workflow.inputs.facts import SHOWN, read_facts


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def refused(path: Path) -> list[str]:
    """What is said of each bad line."""
    with pytest.raises(InvalidData) as raised:
        read_facts(path)
    return [line.strip() for line in str(raised.value).split("\n")[1:]]


GOOD = {"question": "Where was Ada born?", "answer": "In Brimford."}


def test_a_line_says_all_that_is_known_of_a_fact(tmp_path: Path) -> None:
    row = GOOD | {
        "id": 7,
        "value": "Brimford",
        "subject": "Ada",
        "paraphrases": [["Born where?", "Brimford."], "Whence?"],
    }
    row |= {"perturbed": ["In Velmwick."], "adjacent": [["In which county?", "Greywold"]], "unknown": None}
    (fact,) = read_facts(jsonl(tmp_path / "a.jsonl", row)).facts
    assert (fact.id, fact.subject, fact.question, fact.answer, fact.value) == ("7", "Ada", *GOOD.values(), "Brimford")
    assert fact.paraphrases == (("Born where?", "Brimford."), ("Whence?", "In Brimford."))
    assert (fact.perturbed, fact.adjacent) == (("In Velmwick.",), (("In which county?", "Greywold"),))


@pytest.mark.parametrize(
    "names", [("prompt", "response"), ("prompt", "completion"), ("instruction", "output"), ("input", "target")]
)
def test_other_names_are_read_and_said_to_be(names: tuple[str, str], tmp_path: Path) -> None:
    given = read_facts(jsonl(tmp_path / "a.jsonl", dict(zip(names, GOOD.values(), strict=True)) | {"source": "crm"}))
    assert (given.facts[0].question, given.facts[0].answer) == tuple(GOOD.values())
    assert f"reading '{names[0]}' as the question and '{names[1]}' as the answer" in given.notes
    assert "not used: source" in given.notes


def test_the_usual_names_need_no_note_but_a_missing_subject_does(tmp_path: Path) -> None:
    assert read_facts(jsonl(tmp_path / "a.jsonl", GOOD | {"subject": "Ada"})).notes == ()
    assert "each counts as about somebody else" in " ".join(read_facts(jsonl(tmp_path / "b.jsonl", GOOD)).notes)


def test_all_bad_lines_are_named_at_once_without_what_stands_in_them(tmp_path: Path) -> None:
    said = refused(
        jsonl(
            tmp_path / "a.jsonl",
            GOOD,
            {"question": "SECRET?"},
            '{"question": "SECRET',
            GOOD | {"answer": "  "},
            GOOD | {"answer": 42},
            {"text": "SECRET"},
            "[1, 2]",
            GOOD | {"id": "x"},
            "",
            GOOD | {"id": "x"},
            {"prompt": "SECRET", "response": "SECRET"},
            GOOD | {"value": "SECRET"},
            GOOD | {"paraphrases": "SECRET"},
            GOOD | {"adjacent": [["SECRET"]]},
            GOOD | {"perturbed": [""]},
            GOOD | {"text": "SECRET"},
            GOOD | {"id": ["SECRET"]},
            '{"question": "a\\ud800", "answer": "b"}',
            {"name": "SECRET"},
        )
    )
    assert said == [
        "line 2: answer is missing",
        "line 3: not JSON: Unterminated string starting at, column 14",
        "line 4: answer is empty",
        "line 5: answer is not text",
        "line 6: a document among pairs of question and answer; keep the two kinds in files of their own",
        "line 7: not a JSON object",
        "line 10: the same id as line 8",
        "line 11: needs question and answer, as lines before it have",
        "line 12: its value does not stand in its answer",
        "line 13: paraphrases is not a list",
        "line 14: adjacent is not a list of [question, answer] pairs",
        "line 15: perturbed is not a list of texts",
        "line 16: has question, answer and text; which is meant is open",
        "line 17: id is not text",
        "line 18: question holds half of a letter (a lone surrogate)",
        "line 19: needs question and answer (or prompt and response, instruction and output, input and target), or text",
    ]
    assert "SECRET" not in " ".join(said)


def test_twenty_bad_lines_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    said = refused(jsonl(tmp_path / "a.jsonl", GOOD, *[{"question": "?"}] * 27))
    assert len(said) == SHOWN + 1
    assert said[-1] == "… and 7 more"


def test_an_instruction_with_an_input_is_not_cut_in_half(tmp_path: Path) -> None:
    row = {"instruction": "Translate.", "input": "", "output": "ok"}
    assert read_facts(jsonl(tmp_path / "a.jsonl", row)).facts[0].question == "Translate."
    assert "instruction and input" in refused(jsonl(tmp_path / "b.jsonl", row | {"input": "this"}))[0]


def test_lines_that_repeat_count_once(tmp_path: Path) -> None:
    given = read_facts(jsonl(tmp_path / "a.jsonl", GOOD, GOOD, GOOD | {"question": "Other?"}))
    assert len(given.facts) == 2
    assert "1 of 3 lines repeat an earlier one and count once" in given.notes


def test_documents_come_as_lines_or_as_paragraphs(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("\ufeffone\nstill one\n\n  \n\ntwo\n", encoding="utf-8")
    lines = jsonl(tmp_path / "b.jsonl", {"text": "one\nstill one"}, {"text": "two"})
    for found in (read_facts(text), read_facts(lines)):
        assert [(f.question, f.answer) for f in found.facts] == [("", "one\nstill one"), ("", "two")]
        assert found.documents
        assert found.notes == ()
    assert [f.id for f in read_facts(text).facts] == ["line-1", "line-6"]


def test_parquet_is_read_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD | {"paraphrases": [["a", "b"]]}, GOOD | {"question": "Other?"}]), path)
    one, other = read_facts(path).facts
    assert one.paraphrases == (("a", "b"),)
    assert other.paraphrases == ()
    pq.write_table(pa.Table.from_pylist([GOOD, {"question": "q", "answer": None}]), path)
    assert refused(path) == ["row 2: answer is missing"]
    path.write_bytes(b"PAR1 no")
    with pytest.raises(InvalidData, match="as Parquet"):
        read_facts(path)


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_a_file_without_facts_is_refused(text: str, tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.txt"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InvalidData, match="holds no facts"):
            read_facts(tmp_path / name)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"none\.jsonl"):
        read_facts(tmp_path / "none.jsonl")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InvalidData, match="not UTF-8 text"):
        read_facts(tmp_path / "latin.txt")
    assert "one JSON array" in refused(jsonl(tmp_path / "array.jsonl", "[", json.dumps(GOOD), "]"))[0]


def test_what_the_other_reader_takes_is_read_alike(tmp_path: Path) -> None:
    """Probes of a request and probes of folders are one format, with one digest."""
    path = jsonl(tmp_path / "a.jsonl", GOOD | {"value": "Brimford", "subject": "Ada"}, GOOD | {"question": "Other?"})
    assert read_facts(path).facts == read_probes(path)


fields = st.none() | st.text(max_size=5) | st.integers() | st.lists(st.none(), max_size=1)
objects = st.dictionaries(st.sampled_from(["question", "answer", "text", "id"]), fields).map(json.dumps)


@given(st.lists(st.text(max_size=30) | objects, max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_file_is_read_or_refused_with_a_sentence(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    said, facts = "", tuple[Fact, ...]()
    try:
        facts = read_facts(path).facts
    except ExpungeError as e:
        said = str(e)
    assert bool(facts) != bool(said)
    assert not said or "line" in said or "no facts" in said
    assert all(f.answer.strip() for f in facts)
    assert len({f.id for f in facts}) == len(facts)


# -- what is asked ----------------------------------------------------------------------------------------------------


def test_the_power_is_known_before_any_model_is_loaded(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", *[{"question": f"{i}?", "answer": f"a{i}", "subject": str(i % 3)} for i in range(30)]
    )
    question = read_question(path, None, None, "quick")
    assert (question.power.n_facts, question.power.n_people) == (30, 3)
    assert "30 facts of 3 people" in question.alone
    assert any("30 facts" in note for note in question.notes)


def test_documents_are_asked_in_passages(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        " ".join(f"w{i}" for i in range(100)) + "\n\nanother document here", encoding="utf-8"
    )
    question = read_question(tmp_path / "a.txt", None, None, "quick")
    assert question.documents
    assert [f.question != "" for f in question.probes.forget] == [True] * 3
    assert "3 passages of 2 documents" in question.alone


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="--probes"):
        read_question(None, None, None, "quick")
    question = read_question(jsonl(tmp_path / "a.jsonl", GOOD), None, None, "quick")
    with pytest.raises(InvalidParameter, match="original"):
        audit_folders({"unlearned": "x", "original": None}, question, lambda *_: None)
    with pytest.raises(UnknownMethod, match="quick"):
        read_question(tmp_path / "a.jsonl", None, None, "huge")


def test_a_commitment_holds_the_run_to_what_was_written(tmp_path: Path) -> None:
    path, file = jsonl(tmp_path / "a.jsonl", GOOD, GOOD | {"question": "Other?"}), tmp_path / "c.json"
    digest = commit(read_question(path, None, None, "quick"), file)
    assert json.loads(file.read_text())["digest"] == digest
    check_committed(read_question(path, None, None, "quick"), file)
    with pytest.raises(InvalidParameter, match="made once"):
        commit(read_question(path, None, None, "quick"), file)
    with pytest.raises(DigestMismatch, match="battery"):
        check_committed(read_question(path, None, None, "short"), file)
    with pytest.raises(DigestMismatch, match="probes"):
        check_committed(read_question(jsonl(tmp_path / "b.jsonl", GOOD), None, None, "quick"), file)
    file.write_text(file.read_text().replace('"tau": 0.1', '"tau": 0.5'))
    with pytest.raises(DigestMismatch, match="thresholds"):
        check_committed(read_question(path, None, None, "quick"), file)
    for text in ("{", "[]"):
        file.write_text(text)
        with pytest.raises(InvalidData):
            check_committed(read_question(path, None, None, "quick"), file)


def test_a_commitment_holds_no_words_of_the_probes(tmp_path: Path) -> None:
    commit(read_question(jsonl(tmp_path / "a.jsonl", GOOD), None, None, "quick"), tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text()
    assert "Ada" not in text
    assert "Brimford" not in text


def test_scores_of_other_code_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = score_folder()
    assert before == score_folder()
    assert tmp_path in before.parents
    assert before.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(folders, "_code", lambda: "other")
    assert score_folder() != before
