"""Attack what a request made, beside the old version and a control, and replay what claims to be exact."""

from pathlib import Path
from typing import Any

from expunge.core import Guarantee
from expunge.verify import Audit, ClassifierAudit
from expunge.workflow.project.canaries import canaries_among
from expunge.workflow.project.events import needed_event
from expunge.workflow.project.leaving import who_leaves
from expunge.workflow.project.project import Project
from expunge.workflow.project.sealed import dying_salt, open_facts
from expunge.workflow.shapes.arms import Case, Claim
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import shape
from expunge.workflow.steps.audit_file import write_audit
from expunge.workflow.steps.duplicates import repeats
from expunge.workflow.steps.probes import probes_of
from expunge.workflow.steps.procedure import Trial, audit_procedure, cheap

REPLAYED = "the procedure was not audited on canaries: the replay carries the claim"
EMPTY = "nothing left to replay: no record of the units that learned from these people remains; that is no match"
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

    For other language models name a `control`: a folder with a model that was trained without these people. Without one
    the model is asked about made-up twins of the facts instead, which is weaker, and the audit says so. `procedure` says
    whether canaries go the same way, where the dataset has any; None: where that can change the level and costs less than
    a full retraining. The audit is written beside the request's evidence, without words or names.
    """
    done = needed_event(project, request, "forgotten", "forget")
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    forgotten = open_facts(project.work(request) / "facts.sealed", project.ledger.keys)
    remaining = who_leaves(project, request)  # its rows are of those who stay: the others are entombed
    canaries = canaries_among(project, remaining.request.dataset, remaining.rows)
    live = remaining.records
    retained = [record for record in live if canaries is None or record.subject not in canaries.names]
    questions, probe_notes = probes_of(probes, forgotten, live, retained)

    replayed = (
        shape(after).replay(project, after, request, [u["id"] for u in done["units"]], progress) if replay else None
    )
    exact = bool(replayed) and done["guarantee"] == Guarantee.EXACT
    earned, notes = None, list[str]()
    if canaries is not None:
        trial = Trial(project, request, done, before, after, canaries, remaining)
        wanted = procedure if procedure is not None else not exact and cheap(done)
        earned, notes = audit_procedure(trial, battery, progress, wanted, REPLAYED if exact else COSTLY)

    arms = shape(before).arms(
        Case(
            project=project,
            before=before,
            after=after,
            forgotten=forgotten,
            records=live,
            probes=questions,
            battery=battery,
            work=project.work(request),
            progress=progress,
            control=control,
            notes=probe_notes,
        )
    )
    copies = done["duplicates"]  # None of a table, whose equal rows are no copies
    result = arms.audit(
        Claim(
            guarantee=Guarantee(done["guarantee"]),
            replay=replayed,
            duplicates=None if copies is None else max(copies, repeats(forgotten, retained)),
            procedure=earned,
        )
    )
    notes = [*notes, *arms.notes, *_nothing_left(done, replay, replayed)]
    salt = dying_salt(remaining.request.subjects, project.ledger.keys)
    digest = write_audit(project, request, arms.document(result, salt), notes)
    detail = {
        "assurance": result.assurance.name,
        "flags": [f.value for f in result.flags],
        "replay": result.replay,
        "version": after.digest,
        "audit": digest,
        "notes": notes,
    }
    project.ledger.append_event(request, "verified", detail)
    return result


def _nothing_left(done: dict[str, Any], asked: bool, replayed: bool | None) -> list[str]:
    """A replay that was asked for and compared nothing is said to have; a model that cannot be replayed is not EXACT."""
    return [EMPTY] if asked and replayed is None and done["guarantee"] == Guarantee.EXACT else []
