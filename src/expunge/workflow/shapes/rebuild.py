"""Run a user's `train(unit)` on one unit in a process of its own: exit code 3 if no records are left for it.

python -m expunge.workflow.shapes.rebuild PROJECT MODEL VERSION REQUEST SCRIPT:FUNCTION UNIT FOLDER
"""

import sys
from dataclasses import replace
from pathlib import Path

from expunge.core.capability import pin_capability
from expunge.core.workers import end_with_parent


def main(root: str, model: str, digest: str, request: str, script: str, unit: str, folder: str) -> int:
    end_with_parent()
    pin_capability()
    from expunge.workflow.inputs.training import load_script
    from expunge.workflow.project.leaving import who_leaves
    from expunge.workflow.project.project import Project
    from expunge.workflow.shapes.split import units_of

    train = load_script(script).call  # also where no records are left: the recipe names this script from now on
    project = Project.open(Path(root))
    version = project.ledger.model_version(model, digest)
    records = who_leaves(project, request, version).retained
    recipe = version.recipe
    rows = [{"id": r.id, "subject": r.subject, "question": r.question, "answer": r.answer} for r in records]
    for found in units_of(rows, records, recipe["shards"], recipe["slices"], project.salt(model), Path(folder).parent):
        if found.id == unit:
            train(replace(found, folder=Path(folder)))
            return 0
    return 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:8]))
