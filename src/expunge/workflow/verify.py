"""Attack what a request made, beside the old version and a control, and replay what claims to be exact."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from expunge.core import Fact, Guarantee
from expunge.core.digests import digest_json
from expunge.core.durable import write_durably
from expunge.engine import load_model, load_tokenizer
from expunge.exact import AdapterShards
from expunge.ledger import ModelVersion
from expunge.verify import Arm, Audit, Probes, attack_arm, audit, read_probes
from expunge.verify.battery import ArmScores, battery_of
from expunge.verify.metrics.recall import recall
from expunge.workflow.adopted_model import load_whole
from expunge.workflow.events import audit_digest, needed_event
from expunge.workflow.leaving import facts_of
from expunge.workflow.made import Progress
from expunge.workflow.project import Project
from expunge.workflow.sealed import open_facts
from expunge.workflow.shapes import LEARNER, SHARDS, UNITS, shape, shape_of

RETAIN_FACTS = 200


def verify_request(
    project: Project,
    request: str,
    progress: Progress,
    *,
    probes: Path | None = None,
    control: str | None = None,
    battery: str = "standard",
    replay: bool = True,
) -> Audit:
    """Audit a request's new version. For adapter shards the control is trained here, with a fresh seed and salt.

    For other models name a `control`: a folder with a model that was trained without these people. Without one the
    audit is INCONCLUSIVE. The audit is written beside the request's evidence, without words or names.
    """
    done = needed_event(project, request, "forgotten", "forget")
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    asked = _probes(project, request, probes)
    units = [u["id"] for u in done["units"]]
    matched = shape(after).replay(project, after, request, units) if replay else None
    cache = project.work(request) / "scores"
    if shape_of(after) == SHARDS and shape_of(before) == SHARDS:
        arms, asked = _shard_arms(project, before, after, asked, battery, cache, progress)
    elif shape_of(after) == LEARNER:
        arms = _unattacked(before, after, battery)
    else:
        arms = _whole_arms(project, before, after, asked, control, battery, cache, progress, done)
    result = audit(
        original=arms["original"],
        unlearned=arms["unlearned"],
        control=arms.get("control"),
        probes=asked,
        battery=battery,
        guarantee=Guarantee(done["guarantee"]),
        replay=matched,
        duplicates=done["duplicates"],
    )
    _write(project, request, after, result)
    return result


def _write(project: Project, request: str, after: ModelVersion, result: Audit) -> None:
    document = result.to_json(project.ledger.keys.secret("facts"))
    path = project.evidence(request) / "audit.json"
    data = json.dumps(document, indent=1, sort_keys=True).encode()
    write_durably(path, data)
    project.ledger.append_event(
        request,
        "verified",
        {
            "assurance": result.assurance.name,
            "flags": [f.value for f in result.flags],
            "replay": result.replay,
            "version": after.digest,
            "audit": audit_digest(document),
        },
    )


def _probes(project: Project, request: str, path: Path | None) -> Probes:
    """The sealed facts, or the user's better ones about the same people; retained facts; facts about strangers."""
    sealed = open_facts(project.work(request) / "facts.sealed", project.ledger.keys)
    live = project.ledger.live_records(project.ledger.get_request(request).dataset)
    leaving, staying = {f.subject for f in sealed}, {r.subject for r in live}
    if path is None:
        return Probes(tuple(sealed), tuple(facts_of(live)[:RETAIN_FACTS]))
    given = read_probes(path)
    return Probes(
        tuple(f for f in given if f.subject in leaving) or tuple(sealed),
        tuple(f for f in given if f.subject in staying)[:RETAIN_FACTS] or tuple(facts_of(live)[:RETAIN_FACTS]),
        tuple(f for f in given if f.subject not in leaving | staying),
    )


def _shard_arms(
    project: Project,
    before: ModelVersion,
    after: ModelVersion,
    probes: Probes,
    battery: str,
    cache: Path,
    progress: Progress,
) -> tuple[dict[str, ArmScores], Probes]:
    """Attack the one adapter that would answer about each person, on three arms."""
    live = project.ledger.live_records(str(after.dataset))
    new = AdapterShards.load(project.folder(after), after.recipe["base"], records=live, salt=project.salt(after.model))
    old = AdapterShards.for_reading(project.folder(before), before.recipe["base"], salt=project.salt(before.model))
    control = _control(project, new, live, cache.parent, progress)
    subjects = list(dict.fromkeys(f.subject for f in probes.forget))
    arms: dict[str, ArmScores] = {}
    for name, learner in (("original", old), ("unlearned", new), ("control", control)):
        parts = [
            attack_arm(
                Arm.of(learner.model_for(subject), learner.tokenizer_),
                probes.about([subject]),
                battery,
                cache,
                lambda attack, k, n, name=name: progress(f"{name}: {attack}", k, n),  # type: ignore[misc]
            )
            for subject in subjects
        ]
        joined = _join(parts)
        arms[name] = replace(joined, skill=tuple(_routed_skill(learner, probes.retain)))
    ordered = tuple(f for subject in subjects for f in probes.forget if f.subject == subject)
    return arms, replace(probes, forget=ordered)


def _control(
    project: Project, new: AdapterShards, records: Sequence[Any], work: Path, progress: Progress
) -> AdapterShards:
    """The same recipe on the remaining records, with a fresh seed and a fresh salt, or equality would be trivial."""
    asked = {k: v for k, v in new.parameters().items() if k not in ("kind", "base")}
    asked["seed"] = int(asked["seed"]) + 1
    salt = project.ledger.keys.secret("salt-control")
    learner = AdapterShards(new.base, new.tokenizer, salt=salt, **asked)
    return learner.fit(records, work=work, progress=lambda unit, k, n: progress(f"control: {unit}", k, n))


def _routed_skill(learner: AdapterShards, facts: Sequence[Fact]) -> list[float]:
    """What the whole system still answers about retained people, each asked of their own unit."""
    if not facts:
        return []
    said = learner.answer([f.question for f in facts], [f.subject for f in facts])
    return [recall(text, fact) for text, fact in zip(said, facts, strict=True)]


def _join(parts: list[ArmScores]) -> ArmScores:
    """Scores of several attacks on different people as one. An attack that failed on one person failed."""
    failed = {k: v for part in parts for k, v in part.failed.items()}
    names = [n for n in parts[0].scores if n not in failed]
    scores = {
        name: {setting: [x for part in parts for x in part.scores[name][setting]] for setting in parts[0].scores[name]}
        for name in names
    }
    elapsed = {name: sum(part.elapsed_s.get(name, 0.0) for part in parts) for name in parts[0].elapsed_s}
    digest = digest_json("arms", [part.digest for part in parts])
    return ArmScores(digest, scores, failed, parts[0].skill, elapsed)


def _unattacked(before: ModelVersion, after: ModelVersion, battery: str) -> dict[str, ArmScores]:
    """Arms on which no attack ran: those of the batteries ask questions, and a table's model answers none."""
    reason = "attacks of this battery ask questions of language models; this model reads tables"
    failed = dict.fromkeys(battery_of(battery), reason)
    versions = {"original": before, "unlearned": after}
    return {name: ArmScores(version.digest, {}, failed, (), {}) for name, version in versions.items()}


def _whole_arms(
    project: Project,
    before: ModelVersion,
    after: ModelVersion,
    probes: Probes,
    control: str | None,
    battery: str,
    cache: Path,
    progress: Progress,
    done: dict[str, Any],
) -> dict[str, ArmScores]:
    loaded = {name: _load(project, version, done) for name, version in (("original", before), ("unlearned", after))}
    if control is not None:
        loaded["control"] = (load_model(control), load_tokenizer(control))
    return {
        name: attack_arm(
            Arm.of(model, tokenizer),
            probes,
            battery,
            cache,
            lambda attack, k, n, name=name: progress(f"{name}: {attack}", k, n),  # type: ignore[misc]
        )
        for name, (model, tokenizer) in loaded.items()
    }


def _load(project: Project, version: ModelVersion, done: dict[str, Any]) -> tuple[Any, Any]:
    """The plain model that answers about the people of the request."""
    folder = project.folder(version)
    if shape_of(version) == UNITS:
        unit = folder / "units" / done["units"][0]["id"]
        first = unit if unit.exists() else sorted((folder / "units").iterdir())[0]
        return load_model(first), load_tokenizer(first)
    if shape_of(version) == SHARDS:
        learner = AdapterShards.for_reading(folder, version.recipe["base"], salt=project.salt(version.model))
        return learner.model_for(""), learner.tokenizer_
    return load_whole(folder, shape_of(version))
