"""Attack what a request made, beside the old version and a control, and replay what claims to be exact."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import Fact, Guarantee, Record
from expunge.core.durable import write_durably
from expunge.ledger import ModelVersion
from expunge.report.words import plural
from expunge.verify import Arm, Audit, Probes, audit, read_probes
from expunge.verify.batteries import battery_of
from expunge.verify.classifiers import ClassifierAudit
from expunge.verify.duplicates import near_duplicates, normalised
from expunge.verify.scores import ArmScores
from expunge.workflow.project.canaries import canaries_among
from expunge.workflow.project.events import audit_digest, needed_event
from expunge.workflow.project.leaving import facts_of
from expunge.workflow.project.project import Project
from expunge.workflow.project.sealed import open_facts
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import LEARNER, SHARDS, UNITS, shape, shape_of
from expunge.workflow.steps.arms import clean_base, has_twins, shard_arms, unit_arms, whole_arms
from expunge.workflow.steps.procedure import RETAIN_FACTS, NoProcedure, cheap, keyed, procedure_of
from expunge.workflow.steps.table_audit import audit_table

NO_PLACEBO = "no made-up twins could be made of these facts, so there is no control; name one with --control"
NO_TABLES = "attacks of this battery ask questions of language models; this model reads tables"
DROPPED = "of the units of these people nothing is left that could be asked"
REPLAYED = "the procedure was not audited on canaries: the replay carries the claim"
TABLE = {"control": {"kind": "retrained", "second": False}, "procedure": None}
COSTLY = "the procedure was not audited on canaries: it would cost a full retraining"


def verify_request(
    project: Project,
    request: str,
    progress: Progress,
    *,
    probes: Path | None = None,
    control: str | None = None,
    battery: str = "standard",
    replay: bool = True,
    procedure: bool | None = None,
) -> Audit | ClassifierAudit:
    """Audit a request's new version. For adapter shards the control is trained here, with a fresh seed and salt.

    For other language models name a `control`: a folder with a model that was trained without these people. Without one the model
    is asked about made-up twins of the facts instead, which is weaker, and the audit says so. `procedure` says whether
    canaries go the same way, where the dataset has any; None: where that can change the level and costs less than a full
    retraining. The audit is written beside the request's evidence, without words or names.
    """
    done = needed_event(project, request, "forgotten", "forget")
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    data = _Data(project, request)
    matched = shape(after).replay(project, after, request, [u["id"] for u in done["units"]]) if replay else None
    exact = bool(matched) and done["guarantee"] == Guarantee.EXACT
    wanted = procedure if procedure is not None else not exact and cheap(done)
    if table := _table(project, data, done, before, after, matched):
        _write(project, request, after, table, table.to_json() | TABLE, [])
        return table
    earned, notes = _procedure(project, request, battery, progress, wanted, REPLAYED if exact else COSTLY)
    given = _given(project, request, done, before, after, data, probes, control, battery, progress)
    result = audit(
        original=given.arms["original"],
        unlearned=given.arms["unlearned"],
        control=given.arms.get("control"),
        probes=given.probes,
        battery=battery,
        guarantee=Guarantee(done["guarantee"]),
        replay=matched,
        cache=project.work(request) / "scores",
        progress=progress,
        duplicates=None if done["duplicates"] is None else max(done["duplicates"], data.n_duplicates()),
        placebos=given.placebos,
        outs=given.outs,
        procedure=earned,
    )
    document = result.to_json(project.ledger.keys.secret("facts"))
    _write(project, request, after, result, document, [*notes, *given.notes])
    return result


class _Data:
    """The facts of those who left, still sealed in the request's work, and the records that stay, canaries apart."""

    def __init__(self, project: Project, request: str) -> None:
        dataset = project.ledger.get_request(request).dataset
        rows = project.ledger.live_data(dataset).rows
        found = canaries_among(project, dataset, rows)
        invented = found.names if found else set()
        self.sealed = open_facts(project.work(request) / "facts.sealed", project.ledger.keys)
        self.live = [row.record for row in rows]
        self.retained = [record for record in self.live if record.subject not in invented]

    def probes(self, path: Path | None) -> tuple[Probes, tuple[str, ...]]:
        """The sealed facts, or the user's better ones about the same people; retained facts; facts about strangers.

        And what of the user's was not asked.
        """
        leaving, staying = {f.subject for f in self.sealed}, {r.subject for r in self.live}
        kept = facts_of(self.retained)[:RETAIN_FACTS]
        if path is None:
            return Probes(tuple(self.sealed), tuple(kept)), ()
        given, notes = read_probes(path), []
        theirs = tuple(f for f in given if f.subject in leaving)
        if n := sum(not f.subject for f in given):
            notes.append(
                f"{plural(n, 'probe')} without a subject could be asked of nobody and {'was' if n == 1 else 'were'} left out"
            )
        if not theirs:
            notes.append(
                "no probe given is about the people of this request; what their own records say was asked instead"
            )
        probes = Probes(
            theirs or tuple(self.sealed),
            tuple(f for f in given if f.subject in staying)[:RETAIN_FACTS] or tuple(kept),
            tuple(f for f in given if f.subject and f.subject not in leaving | staying),
        )
        return probes, tuple(notes)

    def n_duplicates(self) -> int:
        return repeats(self.sealed, self.retained)


def repeats(forgotten: Sequence[Fact], retained: Sequence[Record]) -> int:
    """How many retained records say almost word for word what a forgotten fact says.

    Records in one template are alike whoever they are about; so where the forgotten text holds the person's name or the
    fact's value, the retained one must hold them too.
    """
    gone, kept = [_said(f) for f in forgotten], [_said(r) for r in retained]
    return len(
        {
            pair.retained
            for pair in near_duplicates(gone, kept)
            if _marks(forgotten[pair.forgotten]) <= _marks(forgotten[pair.forgotten], kept[pair.retained])
        }
    )


def _said(what: Fact | Record) -> str:
    return f"{what.question} {what.answer}"


def _marks(fact: Fact, text: str | None = None) -> set[str]:
    """What of the name and the value stands in a text; by default, in the fact's own."""
    where = normalised(_said(fact) if text is None else text)
    return {mark for m in (fact.subject, fact.value) if m and (mark := normalised(m)) in where}


@dataclass(frozen=True)
class _Given:
    """What an audit is given: models or their scores, what they are asked, and whether placebos are the control."""

    arms: Mapping[str, Arm | ArmScores]
    probes: Probes
    placebos: bool = False
    outs: tuple[Arm, ...] = ()
    notes: tuple[str, ...] = ()


def _given(
    project: Project,
    request: str,
    done: Mapping[str, Any],
    before: ModelVersion,
    after: ModelVersion,
    data: _Data,
    probes: Path | None,
    control: str | None,
    battery: str,
    progress: Progress,
) -> _Given:
    asked, notes = data.probes(probes)
    if shape_of(after) == LEARNER:
        return _Given(_unattacked(before, after, battery, NO_TABLES), asked, notes=notes)
    if shape_of(after) == SHARDS and shape_of(before) == SHARDS:
        work = project.work(request)
        return _Given(*shard_arms(project, before, after, data.live, asked, battery, work, progress), notes=notes)
    if shape_of(after) == UNITS:
        return _of_units(project, request, before, after, asked, control, battery, progress, notes)
    arms = whole_arms(project, before, after, control)
    outs = clean_base(project, before, arms, battery)
    if control is not None or has_twins(asked.forget):
        return _Given(arms, asked, placebos=control is None, outs=outs, notes=notes)
    return _Given(arms, asked, outs=outs, notes=(*notes, NO_PLACEBO))


def _of_units(
    project: Project,
    request: str,
    before: ModelVersion,
    after: ModelVersion,
    asked: Probes,
    control: str | None,
    battery: str,
    progress: Progress,
    notes: tuple[str, ...],
) -> _Given:
    arms, ordered, n_gone = unit_arms(project, before, after, asked, battery, control, project.work(request), progress)
    if not arms:
        return _Given(_unattacked(before, after, battery, DROPPED), asked, notes=notes)
    gone = (f"{plural(n_gone, 'fact')} of people whose whole unit is gone could be asked of nothing",) if n_gone else ()
    twins = () if "control" in arms else (NO_PLACEBO,)
    return _Given(arms, ordered, notes=(*notes, *gone, *twins))


def _procedure(
    project: Project,
    request: str,
    battery: str,
    progress: Progress,
    wanted: bool,
    why_not: str,
) -> tuple[Audit | None, list[str]]:
    """The audit of the procedure, if it is wanted and can be had, and why there is none where there are canaries."""
    if not wanted:
        return None, [why_not] if project.ledger.planted(project.ledger.get_request(request).dataset) else []
    try:
        return procedure_of(project, request, battery, progress), []
    except NoProcedure as e:
        return None, [f"the procedure was not audited on canaries: {e}"]


def _unattacked(before: ModelVersion, after: ModelVersion, battery: str, reason: str) -> dict[str, ArmScores]:
    """Arms on which no attack ran."""
    failed = dict.fromkeys(battery_of(battery), reason)
    versions = {"original": before, "unlearned": after}
    return {name: ArmScores(version.digest, {}, failed, (), {}) for name, version in versions.items()}


def _table(
    project: Project,
    data: _Data,
    done: Mapping[str, Any],
    before: ModelVersion,
    after: ModelVersion,
    matched: bool | None,
) -> ClassifierAudit | None:
    if shape_of(after) != LEARNER:
        return None
    return audit_table(project, before, after, data.sealed, data.retained, done, matched)


def _write(
    project: Project,
    request: str,
    after: ModelVersion,
    result: Audit | ClassifierAudit,
    document: Mapping[str, Any],
    notes: Sequence[str],
) -> None:
    """The audit beside the request's evidence, which stays when the people are gone: what names their facts is keyed."""
    secret = project.ledger.keys.secret("facts")
    arms = {name: arm | {"probes": keyed(secret, arm["probes"])} for name, arm in document["arms"].items()}
    written = {**document, "arms": arms, "notes": list(notes)}
    path = project.evidence(request) / "audit.json"
    write_durably(path, json.dumps(written, indent=1, sort_keys=True).encode())
    project.ledger.append_event(
        request,
        "verified",
        {
            "assurance": result.assurance.name,
            "flags": [f.value for f in result.flags],
            "replay": result.replay,
            "version": after.digest,
            "audit": audit_digest(written),
            "notes": list(notes),
        },
    )
