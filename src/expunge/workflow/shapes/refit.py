"""Fit a recipe's learner again in a process of its own: `python -m expunge.workflow.shapes.refit PROJECT MODEL VERSION`.

Reads the recipe, and the records that are on record as the version's; prints whether it is equal to the fit, as it promises.
"""

import json
import sys
from pathlib import Path

from expunge.core.capability import pin_capability
from expunge.core.workers import end_with_parent


def main(root: str, model: str, digest: str) -> dict[str, bool]:
    end_with_parent()
    pin_capability()
    from expunge.workflow.project.leaving import rows_of_version
    from expunge.workflow.project.project import Project
    from expunge.workflow.shapes.learner import fitted, load_learner, training_of
    from expunge.workflow.shapes.table import columns_of

    project = Project.open(Path(root))
    version = project.ledger.model_version(model, digest)
    learner = load_learner(project, version)
    learner.check_recipe()
    records = [row.record for row in rows_of_version(project, version)]
    fresh = fitted(training_of(version), records, columns_of(project, version), project.salt(model))
    return {"equal": fresh.equals(learner)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
