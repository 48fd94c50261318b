"""Run a user's `train(unit)` on one unit in a process of its own: exit code 3 if no records are left for it.

python -m expunge.workflow.shapes.rebuild PROJECT MODEL VERSION REQUEST SCRIPT:FUNCTION UNIT FOLDER RECORDED

RECORDED are the digests of script and helpers, as JSON; nothing runs unless they are these. Prints at the end those that ran.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core.capability import pin_capability
from expunge.core.workers import end_with_parent

if TYPE_CHECKING:
    from expunge.workflow.inputs.training import Script

NOTHING_LEFT = 3


def main(root: str, model: str, digest: str, request: str, script: str, unit: str, folder: str, known: str) -> int:
    end_with_parent()
    pin_capability()
    from expunge.workflow.inputs.training import load_script
    from expunge.workflow.inputs.user_code import Recorded
    from expunge.workflow.project.leaving import who_leaves
    from expunge.workflow.project.project import Project
    from expunge.workflow.shapes.split import units_of

    # Also where no records are left: the recipe names this script from now on.
    train = load_script(script, Recorded(**json.loads(known)))
    project = Project.open(Path(root))
    version = project.ledger.model_version(model, digest)
    records = who_leaves(project, request, version).retained
    recipe = version.recipe
    rows = [{"id": r.id, "subject": r.subject, "question": r.question, "answer": r.answer} for r in records]
    for found in units_of(rows, records, recipe["shards"], recipe["slices"], project.salt(model), Path(folder).parent):
        if found.id == unit:
            train.call(replace(found, folder=Path(folder)))
            print(f"\n{json.dumps(_digests(train))}")
            return 0
    print(json.dumps(_digests(train)))
    return NOTHING_LEFT


def _digests(script: "Script") -> dict[str, Any]:
    return {key: script.to_json()[key] for key in ("script_sha256", "helpers")}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:9]))
