"""Train units again in a process of its own: `python -m expunge.workflow.shapes.replay PROJECT MODEL VERSION WORK UNIT…`.

Reads nothing of the earlier training but its recipe; prints the digests of what came out as one line of JSON. WORK is the folder
of a replay alone, from whose finished stages one that was stopped goes on.
"""

import json
import sys
from pathlib import Path

from expunge.core.capability import pin_capability
from expunge.core.workers import end_with_parent, tell_parent


def main(root: str, model: str, digest: str, work: str, units: list[str]) -> dict[str, str]:
    end_with_parent()
    pin_capability()
    from expunge.core.placement import SHARD, place, placed_with
    from expunge.exact import AdapterShards
    from expunge.workflow.project.leaving import rows_of_version
    from expunge.workflow.project.project import Project

    project = Project.open(Path(root))
    version = project.ledger.model_version(model, digest)
    salt = project.salt(model)
    base = version.recipe["base"]
    AdapterShards.for_reading(project.folder(version), base, salt=salt).check_recipe()
    learner = AdapterShards.from_parameters(version.recipe["parameters"], base, salt=salt)
    records = [
        row.record
        for row in rows_of_version(project, version)
        if f"shard-{place(placed_with(row.record, salt), salt, learner.shards, SHARD):03d}" in units
    ]
    if not records:
        return {}
    Path(work).mkdir(parents=True, exist_ok=True)
    return {unit.id: unit.digest for unit in learner.fit(records, work=Path(work), progress=tell_parent).units()}


if __name__ == "__main__":
    root, model, version, work, *touched = sys.argv[1:]
    print(json.dumps(main(root, model, version, work, touched)))
