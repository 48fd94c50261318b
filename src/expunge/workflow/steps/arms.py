"""The arms of an audit: which models stand for original, unlearned and control, whatever shape they have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from expunge.core import Fact
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidData
from expunge.core.placement import SHARD, place
from expunge.engine import load_model, load_tokenizer
from expunge.exact import AdapterShards
from expunge.ledger import ModelVersion
from expunge.synthetic.placebo import placebo
from expunge.verify import Arm, Probes, attack_arm, audit
from expunge.verify.attacks import attacks
from expunge.verify.batteries import battery_of
from expunge.verify.battery import Beside
from expunge.verify.metrics.recall import recall
from expunge.verify.scores import ArmScores
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.adopted import WITH_ADAPTER, load_whole
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import SHARDS, shape_of
from expunge.workflow.shapes.split import unit_name

OUTS = 2  # further models beside each person's arms; every one of them is held in memory


def whole_arms(
    project: Project, before: ModelVersion, after: ModelVersion, control: str | None = None
) -> dict[str, Arm]:
    """Models of one block; `control` is a model folder."""
    loaded = {name: load_version(project, version) for name, version in (("original", before), ("unlearned", after))}
    if control is not None:
        loaded["control"] = (load_model(control), load_tokenizer(control))
    return {name: Arm.of(model, tokenizer) for name, (model, tokenizer) in loaded.items()}


def load_version(project: Project, version: ModelVersion) -> tuple[Any, Any]:
    """The plain model of a version that is one block, with its tokenizer."""
    folder = project.folder(version)
    if shape_of(version) == SHARDS:
        learner = AdapterShards.for_reading(folder, version.recipe["base"], salt=project.salt(version.model))
        return learner.model_for(""), learner.tokenizer_
    return load_whole(folder, shape_of(version))


def clean_base(project: Project, before: ModelVersion, arms: dict[str, Arm], battery: str) -> tuple[Arm, ...]:
    """The base under an adopted adapter, which is said never to have seen the data, unless it is an arm itself."""
    if shape_of(before) != WITH_ADAPTER or not _looks_at_outs(battery):
        return ()
    folder = project.folder(before) / "base"
    base = Arm.of(load_model(folder), load_tokenizer(folder))
    return () if base.digest in {arm.digest for arm in arms.values()} else (base,)


def shard_arms(
    project: Project,
    before: ModelVersion,
    after: ModelVersion,
    records: Sequence[Any],
    probes: Probes,
    battery: str,
    work: Path,
    progress: Progress,
) -> tuple[dict[str, ArmScores], Probes]:
    """Attack the one adapter that would answer about each person, on three arms; `records` are what `after` learned.

    The control is trained here, by the same recipe on the same records, with a fresh seed and a fresh salt. The probes
    come back in the order of the scores.
    """
    salt = project.salt(after.model)
    new = AdapterShards.load(project.folder(after), after.recipe["base"], records=records, salt=salt)
    old = AdapterShards.for_reading(project.folder(before), before.recipe["base"], salt=salt)
    learners = {"original": old, "unlearned": new, "control": _control(project, new, records, work, progress)}
    subjects = list(dict.fromkeys(f.subject for f in probes.forget))
    parts: dict[str, list[ArmScores]] = {name: [] for name in learners}
    for subject in subjects:
        models = {name: Arm.of(learner.model_for(subject), learner.tokenizer_) for name, learner in learners.items()}
        outs = _other_shards(old, subject, probes.retain) if _looks_at_outs(battery) else ()
        beside = Beside(models["original"], models["control"], outs)
        for name, arm in models.items():
            asked, said = probes.about([subject]), _named(progress, name)
            parts[name].append(attack_arm(arm, asked, battery, work / "scores", said, beside=beside))
    arms = {
        name: replace(join(parts[name]), probes=probes.digest(), skill=tuple(_routed_skill(learner, probes.retain)))
        for name, learner in learners.items()
    }
    ordered = tuple(f for subject in subjects for f in probes.forget if f.subject == subject)
    return arms, replace(probes, forget=ordered)


def unit_arms(
    project: Project,
    before: ModelVersion,
    after: ModelVersion,
    probes: Probes,
    battery: str,
    control: str | None,
    work: Path,
    progress: Progress,
) -> tuple[dict[str, ArmScores], Probes, int]:
    """Attack units of the user's own loop: of each person the unit that learned from them, as it was and as it is.

    A unit of which nothing was left is gone, and nothing can be asked of it: the facts of its people are left out and
    counted. Without a `control` each unit is asked about made-up twins. The probes come back in the order of the scores.
    """
    parts: list[Mapping[str, ArmScores]] = []
    ordered, staying = list[Fact](), list[Fact]()
    home = _homes(project, before)
    for unit in dict.fromkeys(home(f.subject) for f in probes.forget):
        theirs, kept = (tuple(f for f in part if home(f.subject) == unit) for part in (probes.forget, probes.retain))
        old, new = (project.folder(version) / "units" / unit for version in (before, after))
        if not new.exists():
            continue
        folders = {"original": old, "unlearned": new} | ({"control": Path(control)} if control else {})
        arms = {name: Arm.of(load_model(folder), load_tokenizer(folder)) for name, folder in folders.items()}
        found = audit(
            original=arms["original"],
            unlearned=arms["unlearned"],
            control=arms.get("control"),
            placebos=control is None and has_twins(theirs),
            probes=Probes(theirs, kept, probes.unseen),
            battery=battery,
            cache=work / "scores",
            progress=_named(progress, unit),
        )
        parts.append(found.arms)
        ordered += theirs
        staying += kept
    names = [name for name in (parts[0] if parts else ()) if all(name in part for part in parts)]
    joined = {name: replace(join([part[name] for part in parts]), probes=probes.digest()) for name in names}
    asked = replace(probes, forget=tuple(ordered), retain=tuple(staying)) if ordered else probes
    return joined, asked, len(probes.forget) - len(ordered)


def has_twins(facts: Sequence[Fact]) -> bool:
    """Whether made-up twins can be made of these facts."""
    try:
        return bool(placebo(facts))
    except InvalidData:
        return False


def _homes(project: Project, version: ModelVersion) -> Callable[[str], str]:
    """Subject -> the unit that `split` placed them in, whose last slice is what answers."""
    salt, shards, slices = project.salt(version.model), int(version.recipe["shards"]), int(version.recipe["slices"])
    return lambda subject: unit_name(place(subject, salt, shards, SHARD), slices, slices)


def join(parts: Sequence[ArmScores]) -> ArmScores:
    """Scores of the same attacks on different people as one arm's. An attack that failed on one person failed.

    What an attack found out about itself is that of the person where it went worst.
    """
    failed = {k: v for part in parts for k, v in part.failed.items()}
    names = [n for n in parts[0].scores if n not in failed]
    scores = {
        name: {setting: [x for part in parts for x in part.scores[name][setting]] for setting in parts[0].scores[name]}
        for name in names
    }
    return replace(
        parts[0],
        digest=digest_json("arms", [part.digest for part in parts]),
        scores=scores,
        failed=failed,
        elapsed_s={name: sum(part.elapsed_s.get(name, 0.0) for part in parts) for name in parts[0].elapsed_s},
        checks={name: _worst([part.checks.get(name, {}) for part in parts]) for name in names},
        spent={name: _added([part.spent.get(name, {}) for part in parts]) for name in names},
        unseen=tuple(sum(known) / len(parts) for known in zip(*(part.unseen for part in parts), strict=True)),
        skill=tuple(hit for part in parts for hit in part.skill),
    )


def _worst(checks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of `learnt` and of what each setting `kept`, the least; what one person lacks is lacking."""
    if not all(checks):
        return {}
    learnt = [check["learnt"] for check in checks]
    kept = {setting: min(check["kept"].get(setting, 0.0) for check in checks) for setting in checks[0]["kept"]}
    return {"learnt": None if None in learnt else min(learnt), "kept": kept}


def _added(spent: Sequence[dict[str, int]]) -> dict[str, int]:
    return {what: sum(one.get(what, 0) for one in spent) for what in (spent[0] if spent else {})}


def _control(
    project: Project, new: AdapterShards, records: Sequence[Any], work: Path, progress: Progress
) -> AdapterShards:
    """The same recipe on the remaining records, with a fresh seed and a fresh salt, or equality would be trivial."""
    parameters = new.parameters()
    fresh = {**parameters, "seed": int(parameters["seed"]) + 1}
    salt = project.ledger.keys.secret("salt-control")
    learner = AdapterShards.from_parameters(fresh, new.base, new.tokenizer, salt=salt)
    return learner.fit(records, work=work, progress=lambda unit, k, n: progress(f"control: {unit}", k, n))


def _other_shards(learner: AdapterShards, subject: str, retained: Sequence[Fact]) -> tuple[Arm, ...]:
    """Adapters of shards that never saw the person."""
    homes: dict[int, str] = {}
    for fact in retained:
        homes.setdefault(place(fact.subject, learner.salt_, learner.shards, SHARD), fact.subject)
    homes.pop(place(subject, learner.salt_, learner.shards, SHARD), None)
    names = [homes[unit] for unit in sorted(homes)[:OUTS]]
    return tuple(Arm.of(learner.model_for(name), learner.tokenizer_) for name in names)


def _routed_skill(learner: AdapterShards, facts: Sequence[Fact]) -> list[float]:
    """What the whole system still answers about retained people, each asked of their own unit."""
    if not facts:
        return []
    said = learner.answer([f.question for f in facts], [f.subject for f in facts])
    return [recall(text, fact) for text, fact in zip(said, facts, strict=True)]


def _looks_at_outs(battery: str) -> bool:
    return any("outs" in getattr(attacks.get(name), "needs", ()) for name in battery_of(battery))


def _named(progress: Progress, arm: str) -> Progress:
    return lambda attack, k, n: progress(f"{arm}: {attack}", k, n)
