"""The demo's exact route: one person's request through every step of a project, from `init` to `check`."""

import json
from pathlib import Path
from typing import Any

from expunge.certify import check
from expunge.exact import AdapterShards
from expunge.ledger import Columns
from expunge.verify.metrics.recall import recall
from expunge.workflow.demo.models import BATTERY, Cast, measured, phrasing_facts, write_inputs
from expunge.workflow.project.config import CONFIG
from expunge.workflow.project.events import last_event
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project
from expunge.workflow.steps.certify import certify_request, proof_path
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.enter import train
from expunge.workflow.steps.evidence import evidence_of, write_page
from expunge.workflow.steps.forget import forget_request
from expunge.workflow.steps.verify import verify_request


def exact(folder: Path, cast: Cast) -> dict[str, Any]:
    """Run the whole story; returns the evidence, the table of recalls, and what the check said."""
    write_inputs(folder, cast)
    root, who = folder / "project", cast.shard_people()[0].name
    project = Project.open(root) if (root / CONFIG).exists() else Project.create(root, "demo")
    if "people" not in {d.name for d in project.ledger.datasets()}:
        columns = Columns(subject="person", answer="answer", question="question", value="value", id="id")
        project.ledger.add_dataset("people", folder / "people.jsonl", columns)
    first = measured("exact, trained", folder, cast, lambda *_: _trained(project, folder, cast))
    requests = project.ledger.requests() or (project.ledger.open_request("people", [who]),)
    request = requests[0].id
    forget_request(project, request, _quiet)
    if last_event(project, request, "delivered") is None:
        verify_request(project, request, _quiet, probes=folder / "probes.jsonl", battery=BATTERY)
    deliver_request(project, request, released=())
    _owner_deletes(folder / "people.jsonl", who)
    _owner_deletes(folder / "probes.jsonl", who)
    certificate = certify_request(project, request)
    page = write_page(project, request)
    checked = check(
        certificate,
        trust=[project.root / PUBLIC_KEY],
        log=project.log_folder,
        log_key=(project.root / LOG_KEY).read_text(),
        proof=proof_path(certificate),
        model=project.folder(project.current("assistant")),
    )
    return {
        "evidence": evidence_of(project, request),
        "recalls": first.value,
        "full_cpu_s": first.cpu_s,
        "certificate": str(certificate),
        "page": str(page),
        "check": {"exit_code": checked.exit_code, "first_failure": checked.first_failure},
        "traces": traces(project.root, [who]),
    }


def _trained(project: Project, folder: Path, cast: Cast) -> dict[str, Any]:
    """Train, and see what the model knows before anybody leaves."""
    train(project, f"{folder / 'recipe.py'}:recipe", _quiet)
    return _recalls(project, cast, project.current("assistant").digest)


def traces(root: Path, needles: list[str]) -> list[str]:
    """Files below a folder that hold one of these texts; none should, after delivery."""
    wanted = [n.encode() for n in needles]
    return [
        p.relative_to(root).as_posix()
        for p in sorted(root.rglob("*"))
        if p.is_file() and any(n in p.read_bytes() for n in wanted)
    ]


def _recalls(project: Project, cast: Cast, digest: str) -> dict[str, Any]:
    """Recall on trained and unseen phrasings, asked of the person's own unit and of the unit that the router picks."""
    version = project.ledger.model_version("assistant", digest)
    salt = project.salt("assistant")
    learner = AdapterShards.for_reading(project.folder(version), version.recipe["base"], salt=salt)
    rows = []
    for phrasing, questions in phrasing_facts(cast.shard_people()).items():
        row: list[Any] = [phrasing]
        for subjects in ([f.subject for f in questions], None):
            answers = learner.answer([f.question for f in questions], subjects)
            row.append(round(sum(recall(t, f) for t, f in zip(answers, questions, strict=True)) / len(questions), 3))
        rows.append(row)
    return {"columns": ["phrasing", "asked of the person's unit", "routed by words"], "rows": rows}


def _owner_deletes(path: Path, who: str) -> None:
    """The data file is its owner's; after an erasure they delete the person's rows from it."""
    remaining = [
        line
        for line in path.read_text().split("\n")
        if line and who not in json.dumps(json.loads(line), ensure_ascii=False)
    ]
    path.write_text("".join(f"{line}\n" for line in remaining))


def _quiet(_what: str, _done: int, _total: int) -> None:
    return None
