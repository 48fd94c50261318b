"""Canaries: drawn from a secret, recorded like anybody else, and known to the project alone."""

import json
from pathlib import Path

import pytest

from expunge.core.errors import DigestMismatch, InvalidData, InvalidParameter
from expunge.ledger import Columns
from expunge.workflow.project.canaries import add_data, canaries_among, draw
from expunge.workflow.project.project import Project

COLUMNS = Columns(subject="person", answer="answer", question="question", value="value", id="id")
PLAIN = Columns(subject="person", answer="answer")
SECRET, OTHER = b"a" * 32, b"b" * 32


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        {"id": f"r{i}", "person": f"u{i % 3}", "question": f"What is {i}?", "answer": f"It is {i}.", "value": str(i)}
        for i in range(6)
    ]
    path = tmp_path / "people.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_secret_alone_decides_who_they_are() -> None:
    assert draw(SECRET, COLUMNS, 100, set()) == draw(SECRET, COLUMNS, 100, set())
    assert not draw(SECRET, COLUMNS, 100, set()).subjects & draw(OTHER, COLUMNS, 100, set()).subjects


def test_there_are_as_many_facts_as_asked_for_and_as_many_about_strangers() -> None:
    planted = draw(SECRET, COLUMNS, 200, set())
    assert (len(planted.subjects), len(planted.facts), len(planted.strangers)) == (10, 200, 200)
    assert not planted.subjects & {f.subject for f in planted.strangers}
    trained = {r.question for r in planted.records}
    for fact in planted.facts:
        assert fact.question in trained
        assert not {question for question, _ in fact.paraphrases} & trained  # words that nobody is trained on


def test_nobody_who_is_there_already_is_drawn_again() -> None:
    taken = draw(SECRET, COLUMNS, 100, set()).subjects
    planted = draw(SECRET, COLUMNS, 100, taken)
    assert len(planted.subjects) == 5
    assert not planted.subjects & taken


def test_ids_tell_nothing_and_have_the_look_of_the_file() -> None:
    planted = draw(SECRET, COLUMNS, 100, set())
    assert all(not any(word in r.id for word in r.subject.split()) for r in planted.records)
    assert all(r.id.startswith("row-") and not r.value for r in draw(SECRET, PLAIN, 100, set()).records)


def test_in_plain_texts_a_canary_is_asked_by_the_start_of_a_sentence_that_was_trained_on() -> None:
    planted = draw(SECRET, PLAIN, 100, set())
    assert len(planted.facts) >= 100
    texts = {r.answer for r in planted.records}
    assert all(not r.question for r in planted.records)
    for fact in planted.facts:
        assert f"{fact.question} {fact.answer}" in texts
        assert fact.subject in fact.question
        assert fact.value in fact.answer
        assert all(fact.subject in question for question, _ in fact.paraphrases)
        assert fact.paraphrases
        assert len(fact.perturbed) == 5


def test_they_are_records_of_the_dataset_and_stay_after_the_project_is_opened_again(
    project: Project, file: Path
) -> None:
    info = add_data(project, "people", file, COLUMNS, 100)
    assert (info.n_records, info.n_subjects) == (6 + 200, 3 + 5)
    ledger = Project.open(project.root).ledger
    live = ledger.live_data("people")
    assert live.ignored == 0
    assert [row.record.id for row in live.rows[:6]] == [f"r{i}" for i in range(6)]
    found = canaries_among(project, "people", live.rows)
    assert found is not None
    assert {row.record.subject for row in live.rows} - found.names == {"u0", "u1", "u2"}
    assert len(found.facts) == 100
    assert len(found.refs) == 5
    for path in (project.root / "canaries", *(project.root / "canaries").iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_a_canary_can_leave_like_anybody_else(project: Project, file: Path) -> None:
    add_data(project, "people", file, COLUMNS, 100)
    ledger = project.ledger
    before = canaries_among(project, "people", ledger.live_data("people").rows)
    assert before is not None
    request = ledger.open_request("people", [min(before.names)])
    ledger.entomb(request.id)
    ledger.finish_erasure(request.id)
    after = canaries_among(project, "people", ledger.live_data("people").rows)
    assert after is not None
    assert before.names - after.names == {min(before.names)}
    assert len(after.facts) == 80


def test_without_being_asked_for_nobody_is_invented(project: Project, file: Path) -> None:
    assert add_data(project, "people", file, COLUMNS).n_subjects == 3
    assert not (project.root / "canaries").exists()
    assert canaries_among(project, "people", project.ledger.live_data("people").rows) is None


def test_a_second_add_is_refused_and_leaves_the_canaries_as_they_are(project: Project, file: Path) -> None:
    add_data(project, "people", file, COLUMNS, 100)
    kept = {path.name: path.read_bytes() for path in (project.root / "canaries").iterdir()}
    for n_facts in (None, 100, 200):
        with pytest.raises(InvalidData, match="recorded already"):
            add_data(project, "people", file, COLUMNS, n_facts)
    assert {path.name: path.read_bytes() for path in (project.root / "canaries").iterdir()} == kept
    assert len(project.ledger.live_records("people")) == 206


def test_a_table_has_no_room_for_them_and_too_few_are_refused(project: Project, file: Path) -> None:
    features = Columns(subject="person", answer="answer", features=("id",))
    with pytest.raises(InvalidParameter, match="table"):
        add_data(project, "people", file, features, 200)
    with pytest.raises(InvalidParameter, match="at least 100 facts"):
        add_data(project, "people", file, COLUMNS, 60)
    assert project.ledger.datasets() == ()


def test_a_file_at_fault_leaves_no_canaries(project: Project, file: Path) -> None:
    file.write_text(file.read_text() + "{\n")
    with pytest.raises(InvalidData, match="line 7"):
        add_data(project, "people", file, COLUMNS, 100)
    assert not (project.root / "canaries").exists()
    file.write_text(file.read_text().removesuffix("{\n"))
    assert add_data(project, "people", file, COLUMNS).n_subjects == 3


def test_lost_or_altered_canaries_are_named_not_the_users_file(project: Project, file: Path) -> None:
    add_data(project, "people", file, COLUMNS, 100)
    (kept,) = (project.root / "canaries").iterdir()
    text = kept.read_text()
    kept.write_text(text[:100])
    with pytest.raises(DigestMismatch, match="damaged"):
        project.ledger.live_records("people")
    kept.unlink()
    with pytest.raises(DigestMismatch, match=r"200 of 206 .*canaries/.*invented people"):
        project.ledger.live_records("people")
    answer = json.loads(text)["records"][0]["answer"]
    kept.write_text(text.replace(answer, "Something else.", 1))
    kept.chmod(0o600)
    with pytest.raises(DigestMismatch, match="1 of 206"):
        project.ledger.live_records("people")
