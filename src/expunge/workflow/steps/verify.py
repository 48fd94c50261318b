"""Attack what a request made, beside the old version and a control, and replay what claims to be exact."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from expunge.core import Fact, Guarantee
from expunge.core.errors import NotReady
from expunge.ledger import Verb
from expunge.verify import Audit, ClassifierAudit
from expunge.verify.names import fresh_salt
from expunge.workflow.project.canaries import canaries_among
from expunge.workflow.project.events import attempt, verified
from expunge.workflow.project.leases import Lease, leased
from expunge.workflow.project.leaving import who_leaves
from expunge.workflow.project.project import SEALED, Project
from expunge.workflow.project.sealed import dying_salt, open_facts
from expunge.workflow.shapes.arms import Arms, Case, Claim
from expunge.workflow.shapes.made import Progress
from expunge.workflow.shapes.shape import shape
from expunge.workflow.steps.audit_file import write_audit
from expunge.workflow.steps.duplicates import repeats
from expunge.workflow.steps.probes import probes_of
from expunge.workflow.steps.procedure import Trial, audit_procedure, cheap
from expunge.workflow.steps.targets import MODEL, find_targets, named

REPLAYED = "the procedure was not audited on canaries: the replay carries the claim"
NOBODYS = [
    Fact(id="none", subject="", question="", answer="")
]  # in place of facts that can no longer be had; nobody is asked it
GONE = "the records that were removed can no longer be had, so nothing could be asked about them"
EMPTY = "nothing left to replay: no record of the units that learned from these people remains; that is no match"
COSTLY = "the procedure was not audited on canaries: it would cost a full retraining"


def verify_request(
    project: Project,
    request: str,
    progress: Progress,
    *,
    targets: Collection[str] = (),
    probes: Path | None = None,
    control: str | None = None,
    battery: str = "standard",
    replay: bool = True,
    procedure: bool | None = None,
) -> dict[str, Audit | ClassifierAudit]:
    """Audit the new version of every model that was forgotten from and is not delivered, or of those named.

    For adapter shards the control is trained here, with a fresh seed and salt. For other language models name a `control`: a
    folder with a model that was trained without these people. Without one the model is asked about made-up twins of the facts
    instead, which is weaker, and the audit says so. `procedure` says whether canaries go the same way, where the dataset has
    any; None: where that can change the level and costs less than a full retraining. Audits are written beside the request's
    evidence, without words or names.

    Returns the audits by model. Raises: NotReady, where nothing waits to be verified; UnknownName.
    """
    found = {}
    for done in waiting_for(project, request, targets):
        number = 1 + ((verified(project, request, done) or {}).get("n_audits", 0))
        with leased(project, request, f"{MODEL}:{done['model']}#{done.get('attempt', 1)}/verify-{number}") as lease:
            found[done["model"]] = _verified(
                lease, request, done, progress, probes, control, battery, replay, procedure
            )
    return found


def waiting_for(project: Project, request: str, targets: Collection[str] = ()) -> list[dict[str, Any]]:
    """What forgetting made and delivery has not. Raises: NotReady, where that is nothing; UnknownName."""
    project.ledger.require(request, Verb.WORK)
    waiting = [
        done
        for one in named(find_targets(project, request), targets, MODEL)
        if not one.target.done and (done := attempt(project, request, one.target.of))
    ]
    if not waiting:
        raise NotReady(f"nothing of {request} waits to be verified; run `expunge forget {request}` first")
    return waiting


def _unasked(case: Case) -> Arms:
    """Of people whose records can no longer be had nothing can be asked."""
    from expunge.workflow.shapes.text_arms import unattacked

    return unattacked(case, GONE)


def _verified(
    lease: Lease,
    request: str,
    done: dict[str, Any],
    progress: Progress,
    probes: Path | None,
    control: str | None,
    battery: str,
    replay: bool,
    procedure: bool | None,
) -> Audit | ClassifierAudit:
    project, model = lease.project, done["model"]
    before, after = (project.ledger.model_version(model, done[k]) for k in ("before", "after"))
    work = project.work(request, model)
    forgotten = open_facts(work / SEALED, project.ledger.keys)
    leaving = who_leaves(project, request, after)
    if leaving.lost:
        raise NotReady(
            f"{len(leaving.lost)} rows that the new version of '{model}' learned from have gone from their file since, and open "
            f"requests are about them; `expunge abandon {request}`, then forget again, and they leave together with these"
        )
    remaining = replace(leaving, rows=tuple(leaving.staying))
    canaries = canaries_among(project, remaining.dataset, remaining.rows)
    live = remaining.records
    retained = [record for record in live if canaries is None or record.subject not in canaries.names]
    questions, probe_notes = probes_of(probes, forgotten or NOBODYS, live, retained)

    replayed = (
        shape(after).replay(project, after, request, [u["id"] for u in done["units"]], progress) if replay else None
    )
    exact = bool(replayed) and done["guarantee"] == Guarantee.EXACT
    earned, notes = None, list[str]()
    if canaries is not None:
        trial = Trial(project, request, done, before, after, canaries, remaining)
        wanted = procedure if procedure is not None else not exact and cheap(done)
        earned, notes = audit_procedure(trial, battery, progress, wanted, REPLAYED if exact else COSTLY)

    case = Case(
        project=project,
        before=before,
        after=after,
        forgotten=forgotten,
        records=live,
        probes=questions,
        battery=battery,
        work=work,
        progress=progress,
        control=control,
        notes=probe_notes,
    )
    arms = shape(before).arms(case) if forgotten else _unasked(case)
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
    theirs = project.ledger.live_subjects(request)
    salt = dying_salt(theirs, project.ledger.keys) if theirs else fresh_salt()
    lease.check()
    digest = write_audit(project, request, model, arms.document(result, salt), notes)
    detail = {
        "model": model,
        "attempt": done.get("attempt", 1),
        "assurance": result.assurance.name,
        "flags": [f.value for f in result.flags],
        "procedure": [f.value for f in earned.flags] if earned else None,
        "replay": result.replay,
        "version": after.digest,
        "battery": battery,
        "audit": digest,
        "notes": notes,
    }
    with project.ledger.transaction():
        project.ledger.append_event(request, "verified", detail)
        lease.finish(audit=digest)
    return result


def _nothing_left(done: dict[str, Any], asked: bool, replayed: bool | None) -> list[str]:
    """A replay that was asked for and compared nothing is said to have; a model that cannot be replayed is not EXACT."""
    return [EMPTY] if asked and replayed is None and done["guarantee"] == Guarantee.EXACT else []
