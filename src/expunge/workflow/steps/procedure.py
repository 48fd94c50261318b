"""What a procedure is worth: canaries go the way of a request, and the attacks judge what is left of them.

The procedure is the method with its options, on the version that the request was carried out on, or for a rebuild on its
recipe. Its result is attacked and thrown away: it never serves, is no version, and buries nobody.
"""

import ast
import json
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from expunge.core import Guarantee, Plan, Route
from expunge.core.digests import digest_folder, digest_json
from expunge.core.durable import write_durably
from expunge.core.errors import ExpungeError
from expunge.engine import greedy_answers
from expunge.ledger import LiveRow, ModelVersion
from expunge.verify import Audit, Probes, audit
from expunge.verify.batteries import VERSION
from expunge.verify.metrics.recall import recall
from expunge.verify.scores import ArmScores
from expunge.verify.thresholds import CONTRAST
from expunge.workflow.project.canaries import Canaries, canaries_among
from expunge.workflow.project.events import needed_event
from expunge.workflow.project.files import full_disk_named, new_folder
from expunge.workflow.project.leaving import Leaving, facts_of
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import LEARNER, SHARDS, UNITS, shape, shape_of
from expunge.workflow.steps.arms import clean_base, load_version, shard_arms, whole_arms

RETAIN_FACTS = 200


class NoProcedure(ExpungeError):
    """There are canaries, and the procedure cannot be shown on them."""


def procedure_of(project: Project, request: str, battery: str, progress: Progress) -> Audit | None:
    """The audit of a request's procedure on the canaries of its dataset; None where that has none.

    The control of adapter shards is trained here, without the canaries; any other model is asked about placebos instead,
    since nobody trained one without them. Computed once per procedure: the next request by the same one pays nothing.

    Raises: NoProcedure, where there are canaries and the procedure cannot be shown on them.
    """
    done = needed_event(project, request, "forgotten", "forget")
    found = project.ledger.get_request(request)
    rows = project.ledger.live_data(found.dataset).rows
    canaries = canaries_among(project, found.dataset, rows)
    if canaries is None:
        return None
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    leaving = Leaving(replace(found, subjects=canaries.refs), rows)
    going = _Going(project, request, before, after, done, canaries, leaving)
    going.check()
    kept = project.root / "procedures" / f"{going.key(battery)}.json"
    if not kept.exists():
        with full_disk_named("verify"):
            arms = _attack(going, battery, lambda what, k, n: progress(f"procedure: {what}", k, n))
            write_durably(kept, json.dumps({name: arm.to_json() for name, arm in arms.items()}).encode(), mode=0o600)
            shutil.rmtree(going.work, ignore_errors=True)
    scores = {name: ArmScores(**arm) for name, arm in json.loads(kept.read_text()).items()}
    return audit(
        original=scores["original"],
        unlearned=scores["unlearned"],
        control=scores["control"],
        probes=going.probes,
        battery=battery,
        guarantee=Guarantee(done["guarantee"]),
    )


def keyed(secret: bytes, probes: str) -> str:
    """What stands for the digest of people's facts where it may outlive them: a plain one could be found by guessing."""
    return digest_json("asked", [secret.hex(), probes])


def cheap(done: dict[str, Any]) -> bool:
    """Whether going the way of a request again costs less than training a whole model."""
    return Route(done["route"]) in (Route.EDIT, Route.DROP, Route.REBUILD)


@dataclass(frozen=True)
class _Going:
    """Canaries about to go the way of a request, and all that decides how."""

    project: Project
    request: str
    before: ModelVersion
    after: ModelVersion
    done: dict[str, Any]
    canaries: Canaries
    leaving: Leaving

    @cached_property
    def start(self) -> ModelVersion:
        """Where they start from: the old version, or for shards the new one, whose records are all still to be had."""
        return self.after if shape_of(self.before) == SHARDS else self.before

    @cached_property
    def retained(self) -> list[LiveRow]:
        return [row for row in self.leaving.rows if row.subject not in set(self.canaries.refs)]

    @cached_property
    def probes(self) -> Probes:
        kept = facts_of(row.record for row in self.retained)[:RETAIN_FACTS]
        return Probes(self.canaries.facts, tuple(kept), self.canaries.planted.strangers)

    @cached_property
    def options(self) -> dict[str, Any]:
        """What the request's edit was asked to do, from the recipe of what it made."""
        if self.done["route"] != Route.EDIT:
            return {}
        call = ast.parse(self.after.recipe["settings"], mode="eval").body
        assert isinstance(call, ast.Call)
        return {"method": self.done["method"], **{str(k.arg): ast.literal_eval(k.value) for k in call.keywords}}

    @property
    def work(self) -> Path:
        return self.project.work(self.request) / "procedure"

    def key(self, battery: str) -> str:
        """Names the procedure. An edit of an edited model is another one; a rebuild is the same whoever left before."""
        of = self.start.digest if self.done["route"] == Route.EDIT else self.start.recipe
        secret = self.project.ledger.keys.secret("facts")
        asked = [of, self.done["route"], self.done["method"], self.options, battery, VERSION]
        who = sorted(c.hex() for c in self.canaries.commitments)
        return digest_json("procedure", [secret.hex(), self.done["model"], asked, who]).removeprefix("sha256:")[:32]

    def check(self) -> None:
        """Raises: NoProcedure, if the model's shape has no such procedure, or it was trained without the canaries."""
        if shape_of(self.start) in (UNITS, LEARNER):
            raise NoProcedure(
                "units of your own loop are rebuilt for people who asked, and canaries did not; their replay carries the claim"
            )
        if self.start.members_known:
            members = self.project.ledger.unit_members(self.start.model, self.start.digest)
            trained_on = {commitment for unit in members.values() for commitment in unit}
            if missing := len(self.canaries.commitments - trained_on):
                raise NoProcedure(
                    _untrained(f"{missing} of {len(self.canaries.commitments)} canary records are not in it")
                )

    def plan(self) -> Plan:
        for plan in shape(self.start).plan(self.project, self.start, self.leaving):
            if plan.route == self.done["route"]:
                return plan
        raise NoProcedure(f"canaries cannot go by route {self.done['route']} from this version")


def _attack(going: _Going, battery: str, progress: Progress) -> dict[str, ArmScores]:
    """Forget the canaries into a scratch folder, and attack."""
    if not going.start.members_known:
        _check_known(going)
    project, result, start = going.project, _forgotten(going, progress), going.start
    if shape_of(start) == SHARDS:
        records = [row.record for row in going.retained]
        arms, _ = shard_arms(project, start, result, records, going.probes, battery, going.work, progress)
    else:
        models = whole_arms(project, start, result)
        found = audit(
            original=models["original"],
            unlearned=models["unlearned"],
            control=None,
            placebos=True,
            probes=going.probes,
            battery=battery,
            cache=going.work / "scores",
            progress=progress,
            outs=clean_base(project, start, models, battery),
        )
        arms = dict(found.arms)
    secret = project.ledger.keys.secret("facts")
    return {name: replace(arm, probes=keyed(secret, arm.probes)) for name, arm in arms.items()}


def _forgotten(going: _Going, progress: Progress) -> ModelVersion:
    """A version that is in no ledger: what the procedure makes of the canaries.

    Raises: NoProcedure, if the method's defaults are no longer those of the request.
    """
    going.work.mkdir(parents=True, exist_ok=True)
    job = Job(
        project=going.project,
        version=going.start,
        leaving=going.leaving,
        plan=going.plan(),
        options=going.options,
        work=going.work,
        progress=progress,
    )
    made = shape(going.start).forget(job)
    for what in ("method", "settings"):
        if made.recipe.get(what) != going.after.recipe.get(what):
            raise NoProcedure(f"the request was carried out with another {what} than this version of the program has")
    folder = going.work / "result"
    with new_folder(folder) as staging:
        made.write(staging)
    path = folder.relative_to(going.project.root).as_posix()
    return replace(going.start, path=path, kind=made.kind, recipe=made.recipe, digest=digest_folder(folder))


def _check_known(going: _Going) -> None:
    """A model trained elsewhere: nobody knows what on, so it is asked.

    Raises: NoProcedure, if it does not know the canaries.
    """
    facts = going.canaries.facts
    said = greedy_answers(*load_version(going.project, going.start), [f.question for f in facts])
    known = sum(recall(text, fact) for text, fact in zip(said, facts, strict=True)) / len(facts)
    if known < CONTRAST:
        raise NoProcedure(_untrained(f"it answers {known:.0%} of {len(facts)} questions about them"))


def _untrained(why: str) -> str:
    return f"this model was trained without the canaries ({why}), so nothing is known of its procedure"
