"""What a procedure is worth: canaries go the way of a request, and the attacks judge what is left of them.

The procedure is the method with its options, on the version that the request was carried out on, or for a rebuild on its
recipe. Its result is attacked and thrown away: it never serves, is no version, and buries nobody.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from expunge.core import Guarantee, Plan, Route
from expunge.core.digests import digest_folder, digest_json
from expunge.core.durable import remove_durably, write_durably
from expunge.core.refusals import explaining
from expunge.ledger import ModelVersion
from expunge.verify import Audit, Probes, audit
from expunge.verify.batteries import VERSION, packages_of
from expunge.verify.names import fresh_salt, salted
from expunge.verify.scores import ArmScores
from expunge.workflow.project.canaries import Canaries, NoProcedure
from expunge.workflow.project.files import new_folder
from expunge.workflow.project.leaving import Leaving, facts_of
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.arms import Case, Claim
from expunge.workflow.shapes.edited import edit_settings
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import shape
from expunge.workflow.steps.probes import RETAIN_FACTS


@dataclass(frozen=True)
class Trial:
    """Canaries to be sent the way of a request, and all that decides how. `remaining` are the rows that stay, theirs included."""

    project: Project
    request: str
    done: dict[str, Any]
    before: ModelVersion
    after: ModelVersion
    canaries: Canaries
    remaining: Leaving

    @cached_property
    def leaving(self) -> Leaving:
        """The canaries as the people of a request."""
        return replace(self.remaining, gone=self.canaries.commitments)

    @cached_property
    def probes(self) -> Probes:
        stated = facts_of(self.leaving.retained)[:RETAIN_FACTS]
        return Probes(self.canaries.facts, tuple(stated), self.canaries.planted.strangers)

    @cached_property
    def options(self) -> dict[str, Any]:
        """What the request's edit was asked to do."""
        if self.done["route"] != Route.EDIT:
            return {}
        return {"method": self.done["method"], **edit_settings(self.after.recipe)}

    @property
    def work(self) -> Path:
        return self.project.work(self.request, self.after.model) / "procedure"

    def key(self, battery: str) -> str:
        """Names the procedure. An edit of an edited model is another one; a rebuild is the same whoever left before."""
        of = self.before.digest if self.done["route"] == Route.EDIT else self.before.recipe
        secret = self.project.ledger.keys.secret("facts")
        way = [
            of,
            self.done["route"],
            self.done["method"],
            self.options,
            battery,
            VERSION,
            *packages_of(battery).items(),
        ]
        who = sorted(c.hex() for c in self.canaries.commitments)
        return digest_json("procedure", [secret.hex(), self.done["model"], way, who]).removeprefix("sha256:")[:32]


def audit_procedure(
    trial: Trial, battery: str, progress: Progress, wanted: bool, unwanted: str
) -> tuple[Audit | None, list[str]]:
    """The audit of a request's procedure on canaries, or a note why there is none; `unwanted` is the note if not `wanted`.

    The control of adapter shards is trained here, without the canaries; any other model is asked about placebos instead,
    since nobody trained one without them. Computed once per procedure: the next request by the same one pays nothing.
    """
    if not wanted:
        return None, [unwanted]
    path = trial.project.root / "procedures" / f"{trial.key(battery)}.json"
    try:
        if not path.exists():
            with explaining("what verify writes"):
                arms = _attack(trial, battery, lambda what, k, n: progress(f"procedure: {what}", k, n))
                document = {name: arm.to_json() for name, arm in arms.items()}
                write_durably(path, json.dumps(document).encode(), mode=0o600)
                remove_durably(trial.work)
    except NoProcedure as e:
        return None, [f"the procedure was not audited on canaries: {e}"]
    scores = {name: ArmScores(**arm) for name, arm in json.loads(path.read_text()).items()}
    found = audit(
        original=scores["original"],
        unlearned=scores["unlearned"],
        control=scores["control"],
        probes=trial.probes,
        battery=battery,
        guarantee=Guarantee(trial.done["guarantee"]),
    )
    return found, []


def cheap(done: dict[str, Any]) -> bool:
    """Whether going the way of a request again costs less than training a whole model."""
    return Route(done["route"]) in (Route.EDIT, Route.DROP, Route.REBUILD)


def _attack(trial: Trial, battery: str, progress: Progress) -> dict[str, ArmScores]:
    """Forget the canaries into a scratch folder, and attack.

    Raises: NoProcedure.
    """
    project = trial.project
    start = shape(trial.before).trial_start(project, trial.before, trial.after, trial.canaries)
    case = Case(
        project=project,
        before=start,
        after=_forgotten(trial, start, progress),
        forgotten=trial.canaries.facts,
        records=trial.leaving.retained,
        probes=trial.probes,
        battery=battery,
        work=trial.work,
        progress=progress,
    )
    found = shape(start).arms(case).audit(Claim())
    salt = fresh_salt()  # the scores stay; what was asked of people who stay is named so that nobody can guess it
    return {name: replace(arm, probes=salted("probes", salt, arm.probes)) for name, arm in found.arms.items()}


def _forgotten(trial: Trial, start: ModelVersion, progress: Progress) -> ModelVersion:
    """A version that is in no ledger: what the procedure makes of the canaries.

    Raises: NoProcedure, if the method's defaults are no longer those of the request.
    """
    trial.work.mkdir(parents=True, exist_ok=True)
    job = Job(
        project=trial.project,
        version=start,
        leaving=trial.leaving,
        plan=_plan(trial, start),
        options=trial.options,
        work=trial.work,
        progress=progress,
    )
    made = shape(start).forget(job)
    ways = [(recipe.get("method"), edit_settings(recipe)) for recipe in (made.recipe, trial.after.recipe)]
    for what, ours, theirs in zip(("method", "settings"), *ways, strict=True):
        if ours != theirs:
            raise NoProcedure(f"the request was carried out with another {what} than this version of the program has")
    folder = trial.work / "result"
    with new_folder(folder) as staging:
        made.write(staging)
    path = folder.relative_to(trial.project.root).as_posix()
    return replace(start, path=path, kind=made.kind, recipe=made.recipe, digest=digest_folder(folder))


def _plan(trial: Trial, start: ModelVersion) -> Plan:
    """The plan of the request's own route.

    Raises: NoProcedure, where that is none for the canaries.
    """
    for plan in shape(start).plan(trial.project, start, trial.leaving):
        if plan.route == trial.done["route"]:
            return plan
    raise NoProcedure(f"canaries cannot go by route {trial.done['route']} from this version")
