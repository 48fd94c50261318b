"""What was done, found, delivered and left, as the words of a certificate."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from expunge.certify import LIMITS, erasure_statement
from expunge.certify.contradictions import highest_beside
from expunge.core import Assurance, Flag
from expunge.core.digests import digest_folder
from expunge.core.errors import DigestMismatch
from expunge.core.version import __version__
from expunge.ledger import ModelVersion, VersionState
from expunge.ledger.chain import Head
from expunge.report.claims import level_of, may_be_claimed
from expunge.workflow.project.coming_back import reimport_sentence
from expunge.workflow.project.events import attempt, audit_digest, event_times, last_event, verified
from expunge.workflow.project.project import Project
from expunge.workflow.steps.audit_file import read_audit
from expunge.workflow.steps.deliver import RESIDUALS, manifests_of
from expunge.workflow.steps.targets import MODEL, Held, exceptions, targets_of


@dataclass(frozen=True)
class Dealt:
    """A model that was dealt with: what forgetting did, what the audits found, and what delivery reached."""

    done: dict[str, Any]
    verified: dict[str, Any]
    audit: dict[str, Any]
    delivered: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.done["model"])


def dealt_with(project: Project, request: str) -> list[Dealt]:
    """The models of a request whose new version was delivered, in the order of delivery.

    Raises: DigestMismatch, if an audit on disk is not the one that was recorded.
    """
    models = [e.detail["model"] for e in project.ledger.events(request) if e.kind == "delivered"]
    found = []
    for model in dict.fromkeys(models):
        done = attempt(project, request, model)
        delivered = last_event(project, request, "delivered", model)
        assert done is not None
        assert delivered is not None
        if delivered["version"] != done["after"]:
            continue  # reopened, and forgotten from anew
        audited = verified(project, request, done)
        assert audited is not None
        audit = read_audit(project, request, model)
        if audit_digest(audit) != audited["audit"]:
            raise DigestMismatch(
                f"the audit of '{model}' in {project.evidence(request)} was changed after it was recorded; restore it from a "
                "backup"
            )
        if audit.get("replay") != audited["replay"]:
            raise DigestMismatch(
                f"the audit of '{model}' and the event that recorded it say different things of a replay"
            )
        if left := sorted(set(audit["flags"]) - set(audited["flags"])):
            raise DigestMismatch(f"the audit of '{model}' says {left[0]}, and the event that recorded it does not")
        found.append(Dealt(done, {**audited, "model": model}, audit, delivered))
    return found


def check_delivered(project: Project, request: str) -> None:
    """What serves must be what was delivered: the certificate speaks of those bits.

    Raises: DigestMismatch.
    """
    for one in dealt_with(project, request):
        version = project.ledger.model_version(one.model, one.done["after"])
        if version.state is VersionState.CURRENT and digest_folder(project.folder(version)) != version.digest:
            raise DigestMismatch(
                f"the files in {project.folder(version)} are not the ones that were delivered ({Flag.EXPIRED.value}); restore "
                "them, then certify"
            )


def manifests_at_the_end(project: Project, request: str) -> dict[str, dict[str, str]]:
    """The manifests without the people, as the end of the erasure fixed them; before it, those of now.

    An erasure that ended under an earlier release fixed no file: of a manifest that is gone since, only the records' digest is
    known.
    """
    if ended := last_event(project, request, "ended"):
        return dict(ended["manifests"])
    now = manifests_of(project, project.ledger.get_request(request).datasets)
    if (erasure := project.ledger.finished_erasure(request)) is None:
        return now
    return {
        name: now[name] if now[name]["content"] == manifests.after else {"content": manifests.after}
        for name, manifests in erasure.datasets.items()
    }


def statement_of(project: Project, request: str, held: list[Held], events: Head) -> dict[str, Any]:
    """The statement that a certificate signs; `events` is the end of the ledger's chain, which it binds.

    The level is that of the model where least is shown; what was not dealt with stands in `targets`, under EXCEPTIONS.
    """
    found = project.ledger.get_request(request)
    dealt = dealt_with(project, request)
    versions = {one.model: project.ledger.model_version(one.model, one.done["after"]) for one in dealt}
    before = {one.model: project.ledger.model_version(one.model, one.done["before"]) for one in dealt}
    subjects = [
        {"name": f"{MODEL}:{version.model}", "digest": {"sha256": version.digest.removeprefix("sha256:")}}
        for version in versions.values()
    ]
    erasure = project.ledger.finished_erasure(request)
    fixed = manifests_at_the_end(project, request)
    for name, digests in fixed.items():
        if "sha256" in digests:
            subjects.append({"name": f"manifest:{name}", "digest": {"sha256": digests["sha256"]}})
        subjects.append({"name": f"manifest-content:{name}", "digest": {"sha256": _hex(digests["content"])}})
    erased = {name: {"before": m.before, "after": m.after} for name, m in (erasure.datasets if erasure else {}).items()}
    manifests = {name: erased.get(name, {"before": fixed[name]["content"], "after": None}) for name in fixed}
    log = project.ledger.log_head()
    assert log is not None
    levels = [_assurance(one.audit, one.done) for one in dealt]
    level, whose, words = min(
        levels, key=lambda one: one[0], default=(Assurance.CLAIMED, "these people", Assurance.CLAIMED.sentence)
    )
    left = exceptions(held)
    flags = flags_of_all(dealt, left)
    if (
        highest := highest_beside(flags)
    ) < level:  # an earlier audit of the same version raised what the newest did not
        level, words = highest, highest.sentence
    destroyed = [event.detail for event in project.ledger.events(request) if event.kind == "destroyed"]
    reached = [one.delivered for one in dealt] + destroyed
    replays = [one.verified["replay"] for one in dealt]
    predicate = {
        "certificateId": str(uuid4()),
        "issuedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tool": {"name": "expunge", "version": __version__},
        "times": event_times(project, request, ("forgotten", "verified", "delivered")),
        "log": {"origin": log.origin, "vkey": log.vkey},
        "events": {"count": events.count, "head": events.digest, "since": events.since},
        "request": {
            "ref": request,
            "received": found.received_at,
            "due": found.due_at,
            "subjects": len(found.subjects),
            **_standing(project, request),
        },
        "erasedSet": {"records": erasure.n_records if erasure else 0},
        "manifest": manifests.get(found.dataset, {"before": None, "after": None}),
        "manifests": manifests,
        "superseded": [f"{MODEL}:{v.model}" for v in versions.values() if v.state is VersionState.PURGED],
        "targets": targets_of(held),
        "actions": [
            *(_action(before[one.model], versions[one.model], one.done) for one in dealt),
            *(
                {"target": f"{MODEL}:{one['model']}", "route": "destroy", "before": one["versions"], "after": None}
                for one in destroyed
            ),
        ],
        "verification": [_verification(one.audit, one.verified) for one in dealt],
        "assurance": level.name,
        "assuranceOf": whose,
        "mayBeSaid": may_be_said(words, left),
        "flags": flags,
        "replay": None if not replays or None in replays else all(replays),
        "delivery": {
            "override": sorted({flag for one in dealt for flag in overridden(one.delivered)}) or None,
            "released": sorted({version for one in dealt for version in one.delivered.get("released", ["unknown"])}),
            **{key: [item for one in reached for item in one[key]] for key in ("purged", "unreachable")},
            "residuals": list(RESIDUALS),
        },
        "unknown": list(dict.fromkeys(part for version in versions.values() for part in unknown_parts(version))),
        "reimport": reimport_sentence(project, request),
        "limits": LIMITS,
    }
    return erasure_statement(subjects, _without_floats(predicate))


def _standing(project: Project, request: str) -> dict[str, Any]:
    """How who asks was identified, how many people agreed to the plan, and the legal holds; what there was none of is left out."""
    events = project.ledger.events(request)
    methods = [event.detail["method"] for event in events if event.kind == "identified"]
    methods += [
        event.detail["identified"] for event in events if event.kind == "received" and event.detail.get("identified")
    ]
    agreed = [event.detail["plan"] for event in events if event.kind == "approved"]
    holds = [{"at": event.at, "what": event.kind} for event in events if event.kind in ("held", "released")]
    return {
        **({"identifiedBy": methods[-1]} if methods else {}),
        **({"approvals": agreed.count(agreed[-1])} if agreed else {}),
        **({"holds": holds} if holds else {}),
    }


def flags_of_all(dealt: list[Dealt], left: list[Held]) -> list[str]:
    """Whatever any audit of a delivered version raised, in the order of the ladder's flags."""
    raised = {flag for one in dealt for flag in one.verified["flags"]}
    return [flag.value for flag in Flag if flag.value in raised or (flag is Flag.EXCEPTIONS and left)]


def may_be_said(words: str, left: list[Held]) -> str:
    """What may be said of what was dealt with, and what was not."""
    if not left:
        return words
    return f"{words} With exceptions: {'; '.join(f'{one.name} is {one.target.sentence}' for one in left)}."


def overridden(delivered: dict[str, Any]) -> list[str]:
    """One name, or none, in release 0.1.0."""
    override = delivered["override"]
    return override if isinstance(override, list) else [override] if override else []


def unknown_parts(version: ModelVersion) -> list[str]:
    """What nobody recorded about a model."""
    if version.recipe.get("training") == "UNKNOWN":
        from expunge.workflow.shapes.adopted import UNKNOWN_PARTS

        return list(UNKNOWN_PARTS)
    return []


def _action(before: ModelVersion, after: ModelVersion, done: dict[str, Any]) -> dict[str, Any]:
    """One model: route, method, promise, and the digests that bind it to bits."""
    recipe = {k: after.recipe[k] for k in ("parameters", "environment", "training", "method") if k in after.recipe}
    return {
        "target": f"model:{after.model}",
        "route": done["route"],
        "method": done["method"],
        "guarantee": done["guarantee"],
        "promise": done["promise"],
        "units": done["units"],
        "before": before.digest,
        "after": after.digest,
        "trainedOn": after.trained_on,
        "recipe": recipe or "UNKNOWN",
        "script": after.recipe.get("script_sha256", "UNKNOWN"),
        "cost": done["cost"],
        "notes": done["notes"],
    }


def _assurance(audit: dict[str, Any], done: dict[str, Any]) -> tuple[Assurance, str, str]:
    """The level that an audit's own content carries, whose it is, and in words what may be said."""
    row = {"audit": audit, "guarantee": done["guarantee"], "replay": audit["replay"]}
    level = level_of(row) or Assurance.CLAIMED
    lent = bool(audit.get("procedure")) and level is not Assurance.EXACT
    return level, "the procedure, on canary people" if lent else "these people", may_be_claimed(row)


def _verification(audit: dict[str, Any], verified: dict[str, Any]) -> dict[str, Any]:
    shown = (
        "attack",
        "family",
        "outcome",
        "recovered",
        "low",
        "high",
        "contrast_low",
        "n_facts",
        "facts_needed",
        "reason",
    )
    procedure = audit.get("procedure")
    summary = ("assurance", "flags", "n_facts", "n_people")
    return {
        "target": f"model:{verified['model']}",
        "battery": audit["battery"],
        "auditDigest": verified["audit"],
        "audits": verified["audits"],
        "commitment": audit.get("commitment"),
        "control": audit.get("control"),
        "power": audit.get("power"),
        "procedure": {k: procedure[k] for k in summary} if procedure else None,
        "skill": audit["skill"],
        "findings": [{k: f[k] for k in shown} for f in [*audit["findings"], audit["membership"]]],
        "notes": audit.get("notes", []),
    }


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _without_floats(value: Any) -> Any:
    """Numbers that every JSON reader writes alike: floats rounded to six places."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: _without_floats(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(v) for v in value]
    return value
