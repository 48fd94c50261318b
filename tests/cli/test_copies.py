"""`docs/copies.md`, as it is typed."""

import json
from pathlib import Path

from typer.testing import CliRunner

from expunge.cli.app import app
from expunge.ledger import CopyState
from expunge.workflow.project.project import Project
from expunge.workflow.steps.copies import all_copies

PAGE = Path(__file__).parents[2] / "docs" / "copies.md"


def typed(folder: Path, *line: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["copies", *line, "--project", str(folder)])
    return done.exit_code, done.stdout


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p", "acme")
    folder = project.root / "models" / "churn" / "v1"
    folder.mkdir(parents=True)
    project.ledger.record_model_version("churn", kind="adopted", digest="sha256:b", path="models/churn/v1")
    project.ledger.set_current("churn", "sha256:b")
    lines = [
        line.removeprefix("expunge copies ") for line in PAGE.read_text("utf-8").splitlines() if line[:8] == "expunge "
    ]
    assert [line.split()[0] for line in lines] == ["add", "add", "list", "probe", "gone"]
    home = project.root
    assert typed(home, "add", "churn", "memory://models/churn", "--kind", "object_store")[0] == 0
    tape = ["add", "churn", "tape 12", "--kind", "backup", "--owner", "ops", "--until", "2027-01-31"]
    assert typed(home, *tape)[0] == 0
    code, out = typed(home, "probe", "--json")
    assert code == 0
    assert [one["found"] for one in json.loads(out)["copies"]] == ["gone", "cannot be asked"]
    assert typed(home, "gone", "2", "--owner", "ops", "--evidence", "tape 12 was shredded, ticket 881")[0] == 0
    code, out = typed(home, "list", "--json")
    assert [(one["kind"], one["state"]) for one in json.loads(out)["copies"]] == [
        ("object_store", "present"),
        ("backup", "declared gone"),
    ]
    assert [copy.state for copy in all_copies(project)] == [CopyState.PRESENT, CopyState.PURGED]
