"""Let verified versions serve, and purge what remembers: old versions, checkpoints, caches, attack by-products, copies.

When everything that holds something of a request has ended, the ledger forgets its people.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from expunge.core import Flag
from expunge.core.digests import digest_folder, sha256_file
from expunge.core.durable import remove_durably
from expunge.core.errors import DeliveryBlocked, DigestMismatch, InvalidData, InvalidParameter, NotReady, UnknownName
from expunge.ledger import Decision, ModelVersion, Verb
from expunge.workflow.project.coming_back import remember
from expunge.workflow.project.events import attempt, last_event, needed, verified
from expunge.workflow.project.leases import Lease, leased
from expunge.workflow.project.project import Project
from expunge.workflow.steps.approval import by_route, check_approved
from expunge.workflow.steps.copies import probed_before, purge_copies, retry_copies
from expunge.workflow.steps.targets import DATASET, MODEL, find_targets, left_undone, named

RESIDUALS = (
    "backups and file-system snapshots of this project and of the data",
    "the source files of the datasets, which are their owners' to change",
    "storage media that keep overwritten blocks",
)
UNKNOWN_RELEASES = "unknown"


@dataclass(frozen=True)
class _Ready:
    """A version that may be delivered: nothing of what follows can be refused any more."""

    done: dict[str, Any]
    before: ModelVersion
    after: ModelVersion
    overridden: list[str]


def deliver_request(
    project: Project,
    request: str,
    *,
    released: Collection[str] = (),
    overrides: Collection[str] = (),
    targets: Collection[str] = (),
) -> dict[str, Any]:
    """Deliver every verified version of a request, or those named, and end the request's erasure where that was the last.

    `released` names old versions that left the house, by the beginning of their digest, or says that nobody knows: whoever
    holds one can tell from it and the new one what was removed. May be repeated after a kill at any point.

    Raises: NotReady, under a legal hold or without the approvals that the project wants too; DeliveryBlocked, for a blocking
    flag that `overrides` does not name; DigestMismatch, if a new version's files are not the ones that were verified;
    InvalidData, where something is a link; UnknownName. All before any effect.
    """
    project.ledger.require(request, Verb.WORK)
    held = find_targets(project, request)
    left = [one for one in named(held, targets, MODEL) if one.target.decision is Decision.DO and not one.target.done]
    waiting = [done for one in left if (done := attempt(project, request, one.target.of))]
    if not waiting and any(one.n_records != 0 for one in left):
        raise NotReady(f"nothing of {request} waits to be delivered; run `expunge forget {request}` first")
    for besides in {by_route((done.get("asked") or {}).get("route")) for done in waiting} or {""}:
        check_approved(project, request, besides)
    ready = [_ready(project, request, done, overrides) for done in waiting]
    _check_overrides(overrides, ready)
    versions = _released(project, released, [one.target.of for one in held if one.target.kind == MODEL])
    for one in ready:
        probed_before(project, request, one.before.model)
    for one in ready:
        _deliver(project, request, one, versions)
    now = [one.before.model for one in ready]
    retry_copies(project, request, [d["model"] for d in delivered_of(project, request) if d["model"] not in now])
    ended = _ended(project, request)
    return {"request": request, "targets": delivered_of(project, request), **ended}


def delivered_of(project: Project, request: str) -> list[dict[str, Any]]:
    """What was delivered so far, the newest of each model."""
    events = [event.detail for event in project.ledger.events(request) if event.kind == "delivered"]
    return list({detail["model"]: detail for detail in events}.values())


def blocking(flags: Collection[str], procedure: Collection[str], replayed: bool) -> list[Flag]:
    """The flags that need an override by name: what was recovered or wrecked, about the people or by the procedure.

    That the procedure is INCONCLUSIVE needs one too, unless a replay matched; that single people have too few facts does not.
    """
    raised = [flag for flag in Flag if flag.value in {*flags, *procedure} and flag.blocks]
    unsure = Flag.INCONCLUSIVE.value in procedure and not replayed
    return [*raised, *([Flag.INCONCLUSIVE] if unsure else [])]


def _ready(project: Project, request: str, done: dict[str, Any], overrides: Collection[str]) -> _Ready:
    model = done["model"]
    before, after = (project.ledger.model_version(model, done[k]) for k in ("before", "after"))
    audit = needed(verified(project, request, done), request, "verify", f"'{model}' is not verified")
    found = blocking(audit["flags"], audit.get("procedure") or (), bool(audit["replay"]))
    if left := [flag for flag in found if flag.value not in overrides]:
        names = " ".join(f"--override {flag.value}" for flag in found)
        raise DeliveryBlocked(
            f"the audit of '{model}' says {left[0].value}: {left[0].sentence} Forget by another route "
            f"(`expunge forget {request} --target {model} --route …`), return to the original (`expunge abandon {request}`), "
            f"or deliver all the same with {names}; the certificate will show it"
        )
    folder = project.folder(after)
    if digest_folder(folder) != after.digest:
        raise DigestMismatch(
            f"the files in {folder} are not the ones that were verified; restore them, or forget and verify again"
        )
    for place in (folder, project.folder(before), project.work(request, model)):
        if place.is_symlink():
            raise InvalidData(f"{place} is a link; put the folder itself there, or what it points at would stay")
    return _Ready(done, before, after, [flag.value for flag in found])


def _check_overrides(overrides: Collection[str], ready: Collection[_Ready]) -> None:
    raised = {flag for one in ready for flag in one.overridden}
    for name in overrides:
        if ready and name not in raised:
            raise InvalidParameter(f"'{name}' blocks nothing here; what does: {', '.join(sorted(raised)) or 'nothing'}")


def _released(project: Project, released: Collection[str], models: Collection[str]) -> list[str]:
    """Whole digests. Raises: UnknownName."""
    if UNKNOWN_RELEASES in released:
        return [UNKNOWN_RELEASES]
    digests = [version.digest for model in models for version in project.ledger.model_versions(model)]
    found = []
    for name in released:
        those = [d for d in digests if d.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))]
        if len(set(those)) != 1 or not name:
            raise UnknownName(
                f"--released {name} is the beginning of {len(set(those))} versions' digests; give more of it"
            )
        found.append(those[0])
    return found


def _deliver(project: Project, request: str, ready: _Ready, released: list[str]) -> None:
    """One model: switched, purged, said, by one worker."""
    name = f"{MODEL}:{ready.after.model}#{ready.done.get('attempt', 1)}/deliver"
    with leased(project, request, name) as lease:
        _switch_and_purge(lease, request, ready, released)


def _switch_and_purge(lease: Lease, request: str, ready: _Ready, released: list[str]) -> None:
    project, before, after = lease.project, ready.before, ready.after
    lease.check()
    project.ledger.set_current(after.model, after.digest)
    project.point_current(after)
    reached, left = purge_copies(project, request, after.model)
    purged = _purge(project, request, before, after, ready.done)
    project.ledger.mark_purged(before.model, before.digest)
    detail = {
        "model": after.model,
        "version": after.digest,
        "override": ready.overridden,
        "released": released,
        "purged": [*purged, *reached],
        "unreachable": left,
        "residuals": list(RESIDUALS),
    }
    with project.ledger.transaction():
        project.ledger.append_event(request, "delivered", detail)
        project.ledger.finish_target(
            request, f"{MODEL}:{after.model}", {"version": after.digest, "route": ready.done["route"]}
        )
        lease.finish(version=after.digest)


def _ended(project: Project, request: str) -> dict[str, Any]:
    """The ledger forgets the people, if everything has ended; what is left otherwise."""
    held = find_targets(project, request)
    open_ = [
        one
        for one in left_undone(held)
        if one.target.kind != DATASET or one.target.decision is Decision.DEFER or one.derived
    ]
    result: dict[str, Any] = {"left": [{"target": one.name, "stands": one.target.sentence} for one in open_]}
    if not open_ and not project.ledger.get_request(request).about_nobody:
        if project.ledger.finished_erasure(request) is None:
            remember(project, request)
        given_up = [one.target for one in held if not one.target.done and one.target.decision is not Decision.DO]
        erasure = project.ledger.finish_erasure(
            request,
            left=[one.of for one in given_up if one.kind == MODEL],
            kept=[one.of for one in given_up if one.kind == DATASET],
        )
        for name, manifests in erasure.datasets.items():
            project.ledger.finish_target(request, f"{DATASET}:{name}", {"manifest": manifests.after})
        if last_event(project, request, "ended") is None:
            project.ledger.append_event(request, "ended", {"manifests": manifests_of(project, erasure.datasets)})
        result |= {"n_records": erasure.n_records, "n_subjects": erasure.n_subjects}
    return result


def manifests_of(project: Project, datasets: Iterable[str]) -> dict[str, dict[str, str]]:
    """The newest manifest of each dataset by two digests: of its records, and of the file that holds them, whose bytes differ
    between versions of pyarrow."""
    infos = [project.ledger.dataset(name) for name in datasets]
    return {info.name: {"content": info.manifest, "sha256": sha256_file(project.root / info.path)} for info in infos}


def _purge(
    project: Project, request: str, before: ModelVersion, after: ModelVersion, done: dict[str, Any]
) -> list[str]:
    """Delete the old version, the request's work, and finished runs of touched units; returns what they were."""
    folders = {
        f"version {before.digest[:23]}": project.folder(before),
        "checkpoints, sealed facts and attack by-products": project.work(request, before.model),
        "unfinished training of this model": project.root / "work" / f"train-{before.model}",
    }
    folders |= {f"run {u['id']}": project.root / "runs" / before.model / u["id"] for u in done["units"]}
    needed = (project.folder(before), project.folder(after))
    old = [p for p in project.folder(after).parent.iterdir() if p.is_dir() and p not in needed]
    folders |= {f"unfinished version {p.name}": p for p in old}  # of a `forget` that was stopped at its end
    there = [name for name, folder in folders.items() if folder.exists()]
    if (begun := last_event(project, request, "purging", before.model)) is None:
        # Written before anything is deleted, so that a delivery that was stopped still says all that it purged.
        project.ledger.append_event(request, "purging", {"model": before.model, "folders": there})
    for name in there:
        remove_durably(folders[name])
    project.clear_work(request)
    return list(dict.fromkeys([*(begun["folders"] if begun else []), *there]))
