"""Whether somebody who was erased comes back: by an import, a restored part of the project, or an older version of a file.

    python bench/durable_forgetting.py [--quick]

Each way is gone twice: without a suppression list, where the person may come back and the certificate has said so, and with
one, where they are caught. What must hold without any list is that nothing that was erased is read, trained on or served again.
`--quick` is the same: it takes seconds.
"""

import argparse
import base64
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _claims import claim, finish
from _workers import COLUMNS, make_project, quiet
from expunge.core.errors import ExpungeError, InvalidData
from expunge.workflow.project.coming_back import check_returning, subjects_in
from expunge.workflow.project.project import Project
from expunge.workflow.steps.run import run_request

PERSON = "Person 3"
LIST = '\n[suppression]\nbasis = "legitimate interest"\nkeep_days = 365\non_return = "refuse"\n'


def erased(folder: Path, listed: bool) -> tuple[Project, Path, str]:
    """A project from which the person is gone, a copy of it from before, and what its certificate says of coming back."""
    project = make_project(folder, 8)
    if listed:
        config = project.root / "expunge.toml"
        config.write_text(config.read_text() + LIST)
        project = Project.open(project.root)
    project.ledger.database.scrub()
    before = Path(shutil.copytree(project.root, folder / "before"))
    request = project.ledger.open_request(None, [PERSON]).id
    run_request(project, request, quiet, released=())
    envelope = json.loads((project.evidence(request) / "certificate.intoto.json").read_text())
    return project, before, json.loads(base64.b64decode(envelope["payload"]))["predicate"]["reimport"]


def imported(project: Project, name: str, rows: Callable[[dict[str, object]], dict[str, object] | None]) -> bool:
    """Whether the person is live again after an import of rows made from the first file's."""
    source = [json.loads(line) for line in (project.root.parent / "people.jsonl").read_text().splitlines()]
    file = project.root.parent / f"{name}.jsonl"
    file.write_text("".join(json.dumps(made) + "\n" for row in source if (made := rows(row))))
    try:
        check_returning(project, subjects_in(project, file, COLUMNS), name)
        project.ledger.add_dataset(name, file, COLUMNS)
    except InvalidData:
        return False
    return PERSON in {record.subject for record in project.ledger.live_records(name)}


IMPORTS: dict[str, Callable[[dict[str, object]], dict[str, object] | None]] = {
    "re-import of the same file": lambda row: row,
    "second dataset": lambda row: {**row, "id": f"orders/{row['id']}", "a": 1},
    "derived file": lambda row: {**row, "b": 0} if row["who"] in (PERSON, "Person 4") else None,
}


def refused(project: Project) -> bool:
    try:
        Project.open(project.root)
    except ExpungeError:
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.parse_args()
    began, claims = time.perf_counter(), []
    for listed in (False, True):
        with tempfile.TemporaryDirectory() as scratch:
            project, before, said = erased(Path(scratch) / "made", listed)
            warned = "is not recognised" in said
            claims.append(
                claim(f"certificate says so, list {'on' if listed else 'off'}", said, None, warned is not listed)
            )
            for way, rows in IMPORTS.items():
                back = imported(project, way.replace(" ", "-"), rows)
                claims.append(
                    claim(f"{way}, list {'on' if listed else 'off'}: comes back", back, not listed, back is not listed)
                )
            if listed:
                continue
            # The file was erased from by its owner, and an older commit of it is checked out again: it has the rows.
            live = {record.subject for record in project.ledger.live_records("people")}
            claims.append(
                claim("time travel of the source file: read again", PERSON in live, False, PERSON not in live)
            )
            manifest = next((before / "manifests").iterdir())
            shutil.copy2(manifest, project.root / "manifests" / manifest.name)
            live = {record.subject for record in Project.open(project.root).ledger.live_records("people")}
            claims.append(claim("restored manifest: read again", PERSON in live, False, PERSON not in live))
            for path in project.root.glob("ledger.db*"):
                path.unlink()
            shutil.copy2(before / "ledger.db", project.root / "ledger.db")
            claims.append(claim("restored database: refused", refused(project), True, refused(project)))
    finish("durable_forgetting", claims, began)


if __name__ == "__main__":
    main()
