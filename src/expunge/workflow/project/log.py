"""The log of a project, which tells one story: nothing that contradicts a signed checkpoint is signed, whatever was lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expunge.certify import Log, verifier
from expunge.workflow.project.project import Project


@dataclass(frozen=True)
class Logged:
    """Where an entry stands, in the log of which name; and the checkpoint that covers it."""

    origin: str
    index: int
    size: int
    root: bytes


def logged(project: Project, entry: Mapping[str, Any]) -> Logged:
    """The entry in the log, appended if it was not in it. May be repeated after a kill at any point.

    1. The folder must begin with what the ledger remembers that the log's key has signed for.
    2. An entry that may have been signed is completed first.
    3. The entry is written down, then appended. `settle` strikes it off, in the transaction of what it is about.

    Raises: InvalidCertificate, if the log was lost, rolled back or rewritten: nothing is signed then.
    """
    key, origin = project.log_key(), project.log_origin
    log, vkey = Log(project.log_folder, origin), verifier(origin, key).vkey
    if head := project.ledger.log_head(origin):
        log.require_extension(head.size, head.root)
    log.repair(key)
    if head and head.pending and log.find(head.pending) is None:
        log.append(head.pending, key)
    state = log.state()
    project.ledger.remember_head(origin, vkey, state.size, state.root)
    index = log.find(entry)
    if index is None:
        project.ledger.intend_entry(origin, vkey, state.size, state.root, entry)
        index = log.append(entry, key)
    state = log.state()
    return Logged(origin, index, state.size, state.root)


def settle(project: Project, done: Logged) -> None:
    """Remember the checkpoint that covers an entry. Call it in the transaction of the event that the entry is about."""
    vkey = verifier(done.origin, project.log_key()).vkey
    project.ledger.remember_head(done.origin, vkey, done.size, done.root)
