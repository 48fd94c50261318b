"""Who was erased and comes back is recognised where a project keeps a list, and the certificate says whether it does."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.conftest import holds
from tests.workflow.steps.conftest import COLUMNS, PEOPLE, quiet, rows_of, write

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.ledger import clock, suppression
from expunge.workflow.project.coming_back import check_returning, subjects_in
from expunge.workflow.project.project import Project
from expunge.workflow.steps.datasets import add_file
from expunge.workflow.steps.run import run_request


def keeping(project: Project, rule: str = "refuse", more: str = "") -> Project:
    config = project.root / "expunge.toml"
    text = f'\n[suppression]\nbasis = "Art. 6(1)(f)"\nkeep_days = 30\non_return = "{rule}"\n{more}'
    config.write_text(config.read_text() + text)
    return Project.open(project.root)


def erased(project: Project, *names: str) -> str:
    request = project.ledger.open_request(None, names).id
    run_request(project, request, quiet, released=())
    return request


def said(project: Project, request: str) -> Any:
    envelope = json.loads((project.evidence(request) / "certificate.intoto.json").read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]["reimport"]


def back(project: Project, names: list[str]) -> list[str]:
    file = write(project.root / "again.jsonl", rows_of(names))
    return check_returning(project, subjects_in(project, file, COLUMNS), "again")


def test_without_a_list_nobody_is_recognised_and_the_certificate_says_so(project: Project) -> None:
    request = erased(project, PEOPLE[3])
    assert back(project, [PEOPLE[3]]) == []
    assert "is not recognised" in said(project, request)
    assert project.ledger.count_suppressed() == 0


def test_with_a_list_they_are_refused_and_the_certificate_says_what_is_kept(project: Project) -> None:
    project = keeping(project)
    request = erased(project, PEOPLE[3], PEOPLE[4])
    assert project.ledger.count_suppressed() == 2
    with pytest.raises(InvalidData, match=rf"1 of those who were erased \({request}\)"):
        back(project, [PEOPLE[3], "Somebody new"])
    assert back(project, ["Somebody new"]) == []
    assert "Art. 6(1)(f)" in said(project, request)
    kinds = [event.kind for event in project.ledger.events(request)]
    assert (kinds.count("suppressed"), kinds.count("returned")) == (1, 1)


@pytest.mark.parametrize(("rule", "n_notes"), [("name", 1), ("let", 0)])
def test_a_project_may_name_them_or_let_them_through(project: Project, rule: str, n_notes: int) -> None:
    project = keeping(project, rule)
    request = erased(project, PEOPLE[3])
    assert len(back(project, [PEOPLE[3]])) == n_notes
    assert [event.kind for event in project.ledger.events(request)].count("returned") == 1


def test_an_entry_ends_on_its_day(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = keeping(project)
    erased(project, PEOPLE[3])
    later = datetime(2099, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(suppression, "now", lambda: later)
    assert clock.now() < later
    assert back(project, [PEOPLE[3]]) == []
    assert project.ledger.count_suppressed() == 0


def test_the_list_is_hashes_under_a_key_of_its_own(project: Project) -> None:
    project = keeping(project)
    handle = project.ledger.keys.handle(PEOPLE[3])
    erased(project, PEOPLE[3])
    assert holds(project.root, handle) == []
    assert (project.root / "keys" / "suppression.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("more", ["surprise = 1\n", ""])
def test_a_list_without_a_legal_basis_is_refused(project: Project, more: str) -> None:
    config: Path = project.root / "expunge.toml"
    config.write_text(config.read_text() + f"\n[suppression]\nkeep_days = 30\n{more}")
    with pytest.raises(InvalidParameter, match="basis"):
        back(Project.open(project.root), [PEOPLE[3]])


def test_a_model_is_not_trained_on_them_unseen(project: Project, ask: Callable[..., str]) -> None:
    from expunge.workflow.steps.enter import train

    recipe = project.current("churn").recipe["script"]
    project = keeping(project)
    erased(project, PEOPLE[3])
    file = write(project.root / "second.jsonl", rows_of([PEOPLE[3], "New"]))
    project.ledger.add_dataset("second", file, COLUMNS)  # past the check, as by a program of one's own
    where = project.root.parent / "other.py"
    where.write_text(Path(recipe).read_text().replace('"people"', '"second"').replace('"late"', '"later"'))
    with pytest.raises(InvalidData, match="were erased"):
        train(project, f"{where}:late", quiet)


def test_a_dataset_does_not_take_them_in_again(project: Project) -> None:
    """Their lines were left in the file, and new ones came."""
    project = keeping(project)
    request = erased(project, PEOPLE[3])
    file = write(project.root / "people.jsonl", rows_of([*PEOPLE, "Dora"]))
    before = project.ledger.dataset("people")
    with pytest.raises(InvalidData, match=rf"people holds 1 of those who were erased \({request}\)"):
        add_file(project, "people", file, COLUMNS)
    assert project.ledger.dataset("people") == before
    write(file, [row for row in rows_of([*PEOPLE, "Dora"]) if row["who"] != PEOPLE[3]])
    entered = add_file(project, "people", file, COLUMNS)
    assert entered.growth
    assert (entered.growth.n_people, entered.notes) == (1, ())


def test_whose_rows_were_gone_before_cannot_be_listed_and_the_certificate_says_so(project: Project) -> None:
    project = keeping(project)
    request = project.ledger.open_request(None, [PEOPLE[3], PEOPLE[4]]).id
    write(project.root / "people.jsonl", [row for row in rows_of(PEOPLE) if row["who"] != PEOPLE[3]])
    run_request(project, request, quiet, released=())
    assert project.ledger.count_suppressed() == 1
    assert said(project, request).endswith(
        "1 subject of this request could not be put on it, for their rows were gone from the file before"
    )
