"""Switch to the new version and purge what remembers: old version, checkpoints, caches, attack by-products, copies."""

from pathlib import Path
from typing import Any

from expunge.core import Flag
from expunge.core.digests import digest_folder
from expunge.core.durable import remove_durably
from expunge.core.errors import DeliveryBlocked, DigestMismatch, InvalidParameter
from expunge.ledger import CopyState, ModelVersion
from expunge.workflow.project.events import last_event, needed_event
from expunge.workflow.project.project import Project

BLOCKING = (Flag.HIDDEN, Flag.DAMAGED, Flag.RETAINED)
RESIDUALS = (
    "backups and file-system snapshots of this project and of the data",
    "the source file of the dataset, which is its owner's to change",
    "storage media that keep overwritten blocks",
)


def deliver_request(project: Project, request: str, override: str | None = None) -> dict[str, Any]:
    """Deliver a verified version. May be repeated after a kill at any point.

    Raises: NotReady; DeliveryBlocked, for a blocking flag that `override` does not name; DigestMismatch, if the new
    version's files are not the ones that were verified.
    """
    done, verified = (
        needed_event(project, request, "forgotten", "forget"),
        needed_event(project, request, "verified", "verify"),
    )
    if finished := last_event(project, request, "delivered"):
        return finished
    before, after = (project.ledger.model_version(done["model"], done[k]) for k in ("before", "after"))
    overridden = _check(verified["flags"], override)
    if verified["version"] != after.digest or digest_folder(project.folder(after)) != after.digest:
        raise DigestMismatch(
            f"the files in {project.folder(after)} are not the ones that were verified; restore them, or forget and verify again"
        )
    project.ledger.set_current(after.model, after.digest)
    project.point_current(after)
    copies = _purge_copies(project, before)
    purged = _purge(project, request, before, after, done)
    erasure = project.ledger.finish_erasure(request)
    project.ledger.mark_purged(before.model, before.digest)
    detail = {
        "model": after.model,
        "version": after.digest,
        "override": overridden,
        "purged": [*purged, *(uri for uri, reached in copies if reached)],
        "unreachable": [uri for uri, reached in copies if not reached],
        "residuals": list(RESIDUALS),
        "manifest_before": erasure.manifest_before,
        "manifest_after": erasure.manifest_after,
        "n_records": erasure.n_records,
        "n_subjects": erasure.n_subjects,
    }
    project.ledger.append_event(request, "delivered", detail)
    return detail


def _check(flags: list[str], override: str | None) -> str | None:
    blocking = [flag for flag in BLOCKING if flag.value in flags]
    if override is not None and override not in flags:
        raise InvalidParameter(f"'{override}' is not among the flags of this audit ({', '.join(flags) or 'none'})")
    if left := [flag for flag in blocking if flag.value != override]:
        raise DeliveryBlocked(
            f"the audit says {left[0].value}: {left[0].sentence} Forget by another route, or deliver all the same with "
            f"--override {left[0].value}; the certificate will show it"
        )
    return override


def _purge(
    project: Project, request: str, before: ModelVersion, after: ModelVersion, done: dict[str, Any]
) -> list[str]:
    """Delete the old version, the request's work, and finished runs of touched units; returns what they were."""
    folders = {
        f"version {before.digest[:23]}": project.folder(before),
        "checkpoints, sealed facts and attack by-products": project.work(request),
        "unfinished training of this model": project.root / "work" / f"train-{before.model}",
    }
    folders |= {f"run {u['id']}": project.root / "runs" / before.model / u["id"] for u in done["units"]}
    needed = (project.folder(before), project.folder(after))
    old = [p for p in project.folder(after).parent.iterdir() if p.is_dir() and p not in needed]
    folders |= {f"unfinished version {p.name}": p for p in old}  # of a `forget` that was stopped at its end
    there = [name for name, folder in folders.items() if folder.exists()]
    if (begun := last_event(project, request, "purging")) is None:
        # Written before anything is deleted, so that a delivery that was stopped still says all that it purged.
        project.ledger.append_event(request, "purging", {"folders": there})
    for name in there:
        remove_durably(folders[name])
    return list(dict.fromkeys([*(begun["folders"] if begun else []), *there]))


def _purge_copies(project: Project, before: ModelVersion) -> list[tuple[str, bool]]:
    """Delete registered copies that are folders here; name the others."""
    found = []
    for copy in project.ledger.copies(before.model, before.digest):
        reached = copy.reachable and Path(copy.uri).is_dir()
        if reached:
            remove_durably(Path(copy.uri))
        state = CopyState.PURGED if reached or copy.state is CopyState.PURGED else CopyState.UNREACHABLE
        project.ledger.mark_copy(before.model, before.digest, copy.uri, state)
        found.append((copy.uri, state is CopyState.PURGED))
    return found
