"""Copies of model versions outside the project: registered, asked, purged by their kind, or declared gone by somebody."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.ledger import Copy, CopyState, Decision, ModelVersion, VersionState
from expunge.workflow.copies import DECLARED, Probe, Standing, check_place, kinds, probe_copy, purge_copy
from expunge.workflow.project.project import Project
from expunge.workflow.steps.targets import COPY, find_targets

LEFT = (Decision.DEFER, Decision.EXEMPT, Decision.REFUSED)


@dataclass(frozen=True)
class Probed:
    """A copy, what was found at its place, and whether it was said to be gone before."""

    copy: Copy
    found: Probe
    came_back: bool = False


def add_copy(
    project: Project,
    model: str,
    uri: str,
    *,
    kind: str,
    version: str = "",
    owner: str | None = None,
    until: str | None = None,
) -> Copy:
    """Register where else a version lives, by the beginning of its digest; without one, the version that serves.

    Raises: InvalidParameter; UnknownMethod; UnknownName; NotReady.
    """
    if kind not in (*kinds.names(), *DECLARED):
        raise InvalidParameter(f"'{kind}' is no kind of copy; there are: {', '.join([*kinds.names(), *DECLARED])}")
    if kind in DECLARED and not (owner and until):
        raise InvalidParameter(
            f"nothing here can empty a {kind}; name who will, and by when: --owner ops --until 2027-01-31"
        )
    if until is not None:
        try:
            date.fromisoformat(until)
        except ValueError as e:
            raise InvalidParameter(f"--until {until} is no date; write it as 2027-01-31") from e
    check_place(kind, uri)
    place = os.path.abspath(uri) if kind == "folder" else uri  # links stay links
    chosen = _version(project, model, version) if version else project.current(model)
    reachable = kind not in DECLARED
    return project.ledger.register_copy(
        model, chosen.digest, place, kind=kind, reachable=reachable, owner=owner, until=until
    )


def all_copies(project: Project) -> list[Copy]:
    """Every registered copy, whatever became of it, by number."""
    found = [
        copy
        for model in project.ledger.models()
        for version in project.ledger.model_versions(model)
        for copy in project.ledger.copies(model, version.digest)
    ]
    return sorted(found, key=lambda copy: copy.id)


def probe_copies(project: Project, number: int | None = None) -> list[Probed]:
    """Ask every copy, or one, whether it is there. One that was gone and is there again is present, and is named.

    Raises: UnknownName.
    """
    probed = []
    for copy in [_numbered(project, number)] if number is not None else all_copies(project):
        found = probe_copy(copy.kind, copy.uri, copy.version)
        back = copy.state is CopyState.PURGED and found.standing is Standing.THERE
        if back:
            _reopen(project, copy)
        probed.append(Probed(copy, found, back))
    return probed


def declare_gone(project: Project, number: int, *, owner: str, evidence: str) -> Copy:
    """Take somebody's word that a copy is gone; a certificate shows it as declared, not as seen.

    Raises: UnknownName; InvalidParameter; NotReady, where it is seen to be there.
    """
    if not owner.strip() or not evidence.strip():
        raise InvalidParameter("who declares a copy gone, and on what evidence? give --owner and --evidence")
    copy = _numbered(project, number)
    if copy.state is CopyState.PURGED:
        raise NotReady(f"copy:{number} is gone already; nothing is left to declare")
    found = probe_copy(copy.kind, copy.uri, copy.version)
    if found.standing is Standing.THERE:
        raise NotReady(f"copy:{number} is there: {found.words}; purge it by `expunge deliver`, or remove it first")
    detail = {"target": f"{COPY}:{number}", "owner": owner, "evidence": evidence}
    about = _requests_about(project, copy)  # of a copy that is gone no request is found any more
    with project.ledger.transaction():
        gone = project.ledger.mark_copy(copy.model, copy.version, copy.uri, CopyState.PURGED, declared=evidence)
        for request in about:
            project.ledger.finish_target(request, f"{COPY}:{number}", {"declared": evidence, "owner": owner})
            project.ledger.append_event(request, "copy declared gone", detail)
    return gone


def purge_copies(project: Project, request: str, model: str) -> tuple[list[str], list[str]]:
    """Purge every copy of a model's versions out of service that can be reached, and name those that are left.

    Each is deleted only if it is what was registered, and asked again afterwards; a peer that fails leaves it with the reason.
    """
    decided = {target.name: target.decision for target in project.ledger.targets(request)}
    reached, left = [], []
    for copy in _of_old_versions(project, model):
        if decided.get(name := f"{COPY}:{copy.id}") in LEFT or not _may_be_reached(copy):
            left.append(copy.uri)
            continue
        found = purge_copy(copy.kind, copy.uri, copy.version)
        with project.ledger.transaction():
            if found.standing is Standing.GONE:
                project.ledger.mark_copy(model, copy.version, copy.uri, CopyState.PURGED)
                project.ledger.finish_target(request, name, {"purged": copy.uri, "found": found.words})
                reached.append(copy.uri)
            else:
                reason = f"{found.standing.value}: {found.words}"
                project.ledger.mark_copy(model, copy.version, copy.uri, CopyState.UNREACHABLE, reason=reason)
                left.append(copy.uri)
    return reached, left


def probed_before(project: Project, request: str, model: str) -> None:
    """Write down what each copy answers before anything is deleted."""
    found = [
        {"target": f"{COPY}:{copy.id}", "found": probe_copy(copy.kind, copy.uri, copy.version).standing.value}
        for copy in _of_old_versions(project, model)
    ]
    if found:
        project.ledger.append_event(request, "copies asked", {"model": model, "copies": found})


def retry_copies(project: Project, request: str, models: list[str]) -> None:
    """Purge what an earlier delivery of these models could not reach."""
    for model in models:
        reached, left = purge_copies(project, request, model)
        if reached:
            project.ledger.append_event(
                request, "copies purged", {"model": model, "purged": reached, "unreachable": left}
            )


def _of_old_versions(project: Project, model: str) -> Iterator[Copy]:
    for version in project.ledger.model_versions(model):
        if version.state is not VersionState.CURRENT:
            copies = project.ledger.copies(model, version.digest)
            yield from (copy for copy in copies if copy.state is not CopyState.PURGED)


def _may_be_reached(copy: Copy) -> bool:
    """Not where somebody declared that it cannot be: that has no reason of ours."""
    return copy.reachable or (copy.reason is not None and copy.kind in kinds.names())


def _reopen(project: Project, copy: Copy) -> None:
    name = f"{COPY}:{copy.id}"
    with project.ledger.transaction():
        project.ledger.mark_copy(copy.model, copy.version, copy.uri, CopyState.PRESENT)
        for info in project.ledger.requests():
            if any(target.name == name and target.done for target in project.ledger.targets(info.id)):
                project.ledger.reopen_target(info.id, name)
                project.ledger.append_event(info.id, "copy came back", {"target": name})


def _requests_about(project: Project, copy: Copy) -> list[str]:
    name = f"{COPY}:{copy.id}"
    return [
        info.id
        for info in project.ledger.requests()
        if any(one.name == name and not one.target.done for one in find_targets(project, info.id))
    ]


def _version(project: Project, model: str, digest: str) -> ModelVersion:
    start = digest.removeprefix("sha256:")
    found = [v for v in project.ledger.model_versions(model) if v.digest.removeprefix("sha256:").startswith(start)]
    if len(found) != 1:
        raise UnknownName(f"'{digest}' is the beginning of {len(found)} digests of '{model}'; give more of it")
    return found[0]


def _numbered(project: Project, number: int) -> Copy:
    if found := [copy for copy in all_copies(project) if copy.id == number]:
        return found[0]
    raise UnknownName(f"no copy has the number {number}; `expunge copies list` shows them")


def as_data(copy: Copy) -> dict[str, Any]:
    """A copy as programs read it."""
    return {
        "copy": copy.id,
        "model": copy.model,
        "version": copy.version,
        "kind": copy.kind,
        "uri": copy.uri,
        "state": "declared gone" if copy.declared else copy.state.value,
        "reason": copy.reason,
        "owner": copy.owner,
        "until": copy.until,
        "declared": copy.declared,
    }
