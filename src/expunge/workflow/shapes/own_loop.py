"""Models made of units by a training loop of the user's: registered through `split` and `Track`, rebuilt by their script."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core import Equality, Fact, Guarantee, Plan, Promise, Route, Unit
from expunge.core.digests import digest_folder
from expunge.core.durable import remove_durably
from expunge.core.errors import InvalidData, NotReady, RebuildFailed
from expunge.core.placement import SHARD, member_id, place
from expunge.core.recipe import Recipe
from expunge.core.workers import last_line, run_module
from expunge.ledger import LiveRow, ModelVersion, UnitMembers
from expunge.workflow.inputs.user_code import Recorded
from expunge.workflow.project.canaries import Canaries, NoProcedure
from expunge.workflow.project.leaving import Leaving
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.anew import unasked
from expunge.workflow.shapes.arms import Case
from expunge.workflow.shapes.job import Job
from expunge.workflow.shapes.made import Made, Progress
from expunge.workflow.shapes.rebuild import NOTHING_LEFT
from expunge.workflow.shapes.split import unit_name
from expunge.workflow.shapes.taken_in import take_in
from expunge.workflow.shapes.touched import touched_units
from expunge.workflow.shapes.track import UNIT_FILE

if TYPE_CHECKING:
    from expunge.verify.scores import ArmScores
    from expunge.workflow.shapes.text_arms import TextArms

TEXTS = True
OPTIONS: Mapping[str, Route] = {"rebuild": Route.REBUILD}
DROPPED = "of the units of these people nothing is left that could be asked"
PROMISE = Promise(
    guarantee=Guarantee.EXACT,
    equality=Equality.BITWISE,
    scope="the touched units, as the user's script trains them",
    assumptions=(
        "the user's loop reads nothing but the unit's records, and repeats bit for bit (shown only by a replay)",
        "what the units start from never saw the data (asserted, not verified)",
        "number of units and hyperparameters were not chosen on the removed data",
    ),
)


def adopt_runs(project: Project, model: str, dataset: str, runs: Path) -> Made:
    """Register units that `Track` recorded under a folder, after matching their records with the ledger's.

    Raises: InvalidData, if there are none, or their records are not this dataset's under this project's salt.
    """
    found = {p.parent: _read(p) for p in sorted(runs.glob(f"*/{UNIT_FILE}"))}
    if not found:
        raise InvalidData(f"no {UNIT_FILE} in the folders of {runs}; train with callbacks=[expunge.Track(unit)]")
    info = project.ledger.live_data(dataset)
    if len({json.dumps(run["of"]) for run in found.values()}) > 1:
        raise InvalidData(
            f"the runs in {runs} come from splits of different sizes; keep one split's runs in one folder"
        )
    of = next(iter(found.values()))["of"]
    units = tuple(_unit(folder, run, _by_member(project, model, list(info.rows))) for folder, run in found.items())
    return _made(found, units, info.dataset.manifest, {"shape": "units", **of})


def plan(project: Project, version: ModelVersion, leaving: Leaving) -> list[Plan]:
    """The units whose records include somebody who leaves."""
    members = project.ledger.unit_members(version.model, version.digest)
    touched = touched_units(members, set(leaving.gone))
    total = sum(len(m) for m in members.values())
    work = sum(len(members[t.id]) - t.n_removed for t in touched)
    notes = ("rebuilt by your own script: name it with --rebuild FILE.py:FUNCTION",)
    left = total - sum(t.n_removed for t in touched)
    return [
        Plan(
            route=Route.REBUILD,
            promise=PROMISE,
            units=tuple(touched),
            n_removed=len(leaving.gone),
            cost=work / left if left else 0.0,
            purge=tuple(t.id for t in touched),
            notes=(*notes, *unasked(leaving)),
        )
    ]


def forget(job: Job) -> Made:
    """Run the user's script for every touched unit that still has records; the others stay as they are."""
    project, version, leaving = job.project, job.version, job.leaving
    script = job.options.get("rebuild") or version.recipe.get("script")
    if not script:
        raise NotReady("these units were trained by your own loop; name it with --rebuild FILE.py:FUNCTION")
    old = project.folder(version) / "units"
    folders = {p.name: p for p in sorted(old.iterdir())}
    rows = leaving.staying
    recorded = Recorded.of(version.model, {} if job.options.get("rebuild") else version.recipe)
    code: dict[str, Any] = {}
    for k, touched in enumerate(job.plan.units):
        job.progress(touched.id, k, len(job.plan.units))
        folder = job.work / touched.id
        rebuilt, ran = rebuild(project, version, leaving.request.id, str(script), recorded, touched.id, folder)
        recorded = replace(recorded, script_sha256=ran["script_sha256"])  # one file for all units
        code = {**ran, "helpers": {**code.get("helpers", {}), **ran["helpers"]}}
        if rebuilt is None:
            del folders[touched.id]
        else:
            folders[touched.id] = rebuilt
    runs = {folder: json.loads((folder / UNIT_FILE).read_text()) for folder in folders.values()}
    by_member = _by_member(project, version.model, rows)
    units = tuple(_unit(folder, run, by_member) for folder, run in runs.items())
    recipe = {**version.recipe, **code, "script": str(script)}
    made = _made(runs, units, version.trained_on, recipe)
    return replace(made, cost=job.plan.cost, method="own loop, units rebuilt")


def rebuild(
    project: Project,
    version: ModelVersion,
    request: str,
    script: str,
    recorded: Recorded,
    unit: str,
    folder: Path,
) -> tuple[Path | None, dict[str, Any]]:
    """Train one unit by the user's script in a process of its own: its folder, None if no records are left for it; and by digest
    what ran, which is what was recorded or nothing.

    Raises: RebuildFailed.
    """
    remove_durably(folder)
    arguments = [str(project.root), version.model, version.digest, request, script, unit, str(folder)]
    done = run_module("expunge.workflow.shapes.rebuild", *arguments, json.dumps(recorded.to_json()))
    ran = json.loads(last_line(done.stdout)) if done.returncode in (0, NOTHING_LEFT) else {}
    if done.returncode == NOTHING_LEFT:
        return None, ran
    if done.returncode or not (folder / UNIT_FILE).exists():
        raise RebuildFailed(
            f"{script} did not rebuild {unit}: {last_line(done.stderr)}; it must train unit.dataset, save to unit.folder, and Track"
        )
    return folder, ran


def replay(project: Project, version: ModelVersion, request: str, units: list[str], progress: Progress) -> bool | None:
    """Run the script again for the touched units; whether their trained state has the same digest.

    None, where no record of these units is left: nothing was left to replay, which is no match.

    Raises: RecipeMismatch, where it has not and this process is not like the one of the training: that tells nothing.
    """
    recorded_code, compared = Recorded.of(version.model, version.recipe), 0
    for n, unit in enumerate(units):
        progress("replay", n, len(units))
        folder = project.work(request, version.model) / f"replay-{unit}"
        again, _ = rebuild(project, version, request, str(version.recipe["script"]), recorded_code, unit, folder)
        recorded = project.folder(version) / "units" / unit / UNIT_FILE
        if again is None or not recorded.exists():
            if (again is None) != (not recorded.exists()):
                return False
            continue
        now, then = (json.loads(path.read_text()) for path in (again / UNIT_FILE, recorded))
        if now["weights"] != then["weights"]:
            _recipe(then).require(_recipe(now))
            return False
        compared += 1
    return True if compared else None


def _recipe(run: dict[str, Any]) -> Recipe:
    return Recipe(environment=run.get("recipe", {}).get("environment", {}))


def arms(case: Case) -> "TextArms":
    """Of each person the unit that learned from them, as it was and as it is.

    A unit of which nothing was left is gone, and nothing can be asked of it: the facts of its people are left out and
    counted. Without a control each unit is asked about made-up twins. The probes come back in the order of the scores.
    """
    from expunge.report.words import plural
    from expunge.workflow.shapes.text_arms import NO_PLACEBO, TextArms, join, unattacked

    project, probes = case.project, case.probes
    home = _homes(project, case.before)
    parts: list[Mapping[str, ArmScores]] = []
    leaving, staying = list[Fact](), list[Fact]()
    for unit in dict.fromkeys(home(fact.subject) for fact in probes.forget):
        forget, retain = (tuple(f for f in part if home(f.subject) == unit) for part in (probes.forget, probes.retain))
        if (project.folder(case.after) / "units" / unit).exists():
            parts.append(_unit_scores(case, unit, forget, retain))
            leaving += forget
            staying += retain
    if not parts:
        return unattacked(case, DROPPED)
    names = [name for name in parts[0] if all(name in part for part in parts)]
    scores = {name: replace(join([part[name] for part in parts]), probes=probes.digest()) for name in names}
    n_gone = len(probes.forget) - len(leaving)
    gone = (f"{plural(n_gone, 'fact')} of people whose whole unit is gone could be asked of nothing",) if n_gone else ()
    return TextArms(
        case=case,
        models=scores,
        probes=replace(probes, forget=tuple(leaving), retain=tuple(staying)),
        notes=(*case.notes, *gone, *(() if "control" in scores else (NO_PLACEBO,))),
    )


def trial_start(project: Project, before: ModelVersion, after: ModelVersion, canaries: Canaries) -> ModelVersion:
    """Raises: NoProcedure."""
    raise NoProcedure(
        "units of your own loop are rebuilt for people who asked, and canaries did not; their replay carries the claim"
    )


def _unit_scores(
    case: Case, unit: str, forget: tuple[Fact, ...], retain: tuple[Fact, ...]
) -> Mapping[str, "ArmScores"]:
    """A unit as it was, as it is, and the control, asked about the unit's own people."""
    from expunge.verify import Probes, audit
    from expunge.workflow.shapes.text_arms import arm_of, has_twins, named

    old, new = (case.project.folder(version) / "units" / unit for version in (case.before, case.after))
    control = case.control
    return audit(
        original=arm_of(old),
        unlearned=arm_of(new),
        control=arm_of(control) if control else None,
        placebos=control is None and has_twins(forget),
        probes=Probes(forget, retain, case.probes.unseen),
        battery=case.battery,
        cache=case.work / "scores",
        progress=named(case.progress, unit),
    ).arms


def _homes(project: Project, version: ModelVersion) -> Callable[[str], str]:
    """Subject -> the unit that `split` placed them in, whose last slice is what answers."""
    salt, shards, slices = project.salt(version.model), int(version.recipe["shards"]), int(version.recipe["slices"])
    return lambda subject: unit_name(place(subject, salt, shards, SHARD), slices, slices)


def _read(path: Path) -> dict[str, Any]:
    """What `Track` wrote.

    Raises: InvalidData.
    """
    try:
        run: dict[str, Any] = json.loads(path.read_text())
        whole = {"unit", "of", "members", "weights"} <= run.keys() and Path(run["unit"]).name == run["unit"]
    except (OSError, ValueError, AttributeError, TypeError) as e:
        raise InvalidData(f"{path} is damaged ({e}); train that unit again") from e
    if not whole:
        raise InvalidData(f"{path} was not written by expunge.Track; train that unit again with it")
    return run


def _made(
    found: dict[Path, dict[str, Any]], units: tuple[UnitMembers, ...], manifest: str, recipe: dict[str, Any]
) -> Made:
    def write(folder: Path) -> None:
        for source, run in found.items():
            take_in(source, folder / "units" / run["unit"])

    return Made(kind="units", write=write, units=units, promise=PROMISE, recipe=recipe, trained_on=manifest)


def _unit(folder: Path, run: dict[str, Any], by_member: dict[str, LiveRow]) -> UnitMembers:
    missing = sum(name not in by_member for part in run["members"] for name in part)
    if missing:
        raise InvalidData(
            f"{run['unit']} was trained on {missing} records that are not in this dataset under this project's salt; "
            "split with project= and model=, and name that model here"
        )
    members = [(by_member[name].commitment, k) for k, part in enumerate(run["members"], start=1) for name in part]
    sizes = tuple(len(part) for part in run["members"])
    return UnitMembers(Unit(run["unit"], sizes, digest_folder(folder)), tuple(members))


def _by_member(project: Project, model: str, rows: list[LiveRow]) -> dict[str, LiveRow]:
    salt = project.salt(model)
    return {member_id(row.record, salt): row for row in rows}
