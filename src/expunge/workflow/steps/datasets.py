"""How files enter a project, and how datasets live: they grow, their rows are withdrawn, their files move."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.ledger import Columns, DatasetInfo, Followed, Growth, Regulation, Request
from expunge.report.words import plural
from expunge.workflow.project.canaries import add_data
from expunge.workflow.project.coming_back import check_returning, subjects_in, suppression_of
from expunge.workflow.project.project import Project
from expunge.workflow.steps.batch import begun
from expunge.workflow.steps.targets import DATASET, find_targets

WITHDRAWAL = "withdrawal"


@dataclass(frozen=True)
class Entered:
    """A dataset with what its file brought, what is to be known about it, and the request about what was withdrawn."""

    dataset: DatasetInfo
    growth: Growth | None
    withdrawal: Request | None
    notes: tuple[str, ...]


def add_file(
    project: Project,
    name: str,
    file: Path,
    columns: Columns,
    *,
    n_facts: int | None = None,
    withdrawn: bool = False,
    made_from: Collection[str] = (),
) -> Entered:
    """Add a dataset; one that is there takes in what its file has and it has not, as its next version.

    `made_from` names the datasets that the file was made from, as they are now: whatever those held before may be in a dataset
    until it is made from them anew.

    Raises: InvalidParameter, for an option that would do nothing; InvalidData, where the file is at fault, has other columns, or
    brings people back whom the project refuses; DigestMismatch, where rows are gone that nobody asked for, without `withdrawn`.
    """
    known = name in [found.name for found in project.ledger.datasets()]
    if known and n_facts is not None:
        raise InvalidParameter(
            f"canaries are planted when a dataset is first added, and '{name}' is there; leave them out"
        )
    if withdrawn and not known:
        raise InvalidParameter(
            f"--withdrawn is about rows of a dataset that is there, and '{name}' is not; leave it out"
        )
    notes = check_returning(project, subjects_in(project, file, columns), name)
    if not known:
        with project.ledger.transaction() if made_from else nullcontext():
            info = add_data(project, name, file, columns, n_facts)
            project.ledger.note_origins(name, made_from)
        return Entered(info, None, None, tuple(notes))
    with project.ledger.transaction():
        growth = project.ledger.grow_dataset(name, file, columns, withdrawn=withdrawn)
        request = _withdrawal(project, name, growth.withdrawn)
        project.ledger.note_origins(name, made_from)
        notes += _made_anew(project, growth.dataset, made_from)
    return Entered(growth.dataset, growth, request, (*notes, *_grown(project, growth)))


def follow(
    project: Project, name: str, file: Path, *, withdrawn: bool = False
) -> tuple[Followed, Request | None, list[str]]:
    """Let a dataset's source be this file; what was found, the request about what was withdrawn, and what is to be known.

    Raises: as `follow_file`.
    """
    with project.ledger.transaction():
        followed = project.ledger.follow_file(name, file, withdrawn=withdrawn)
        request = _withdrawal(project, name, followed.withdrawn)
    notes = _gone(followed.n_gone)
    if followed.n_unrecorded:
        notes.append(_said(name, followed.n_unrecorded, file))
    return followed, request, notes


def request_records(
    project: Project, name: str, ids: Collection[str], received_at: datetime | None, regulation: Regulation
) -> Request:
    """Record that the records of these ids are to leave a dataset; their people stay. An id that its file has not is no match.

    Raises: UnknownName; EmptyForgetSet; InvalidData and DigestMismatch, as `live_data`.
    """
    wanted = set(ids)
    rows = [row.commitment for row in project.ledger.live_data(name).rows if row.record.id in wanted]
    return project.ledger.request_commitments(
        name,
        rows,
        no_match=len(wanted) - len(rows),
        received_at=received_at,
        regulation=regulation,
        calendar=project.calendar,
    )


def unrecorded(project: Project, names: Collection[str] | None = None) -> list[str]:
    """Of datasets whose files hold rows that are not recorded, a sentence each; of those that cannot be told, why not."""
    said = []
    for info in project.ledger.datasets():
        if names is None or info.name in names:
            try:
                n = project.ledger.unrecorded(info.name)
            except ExpungeError as e:
                said.append(f"what '{info.name}' holds could not be compared with its file: {e}")
                continue
            if n:
                said.append(_said(info.name, n, Path(info.source)))
    return said


def _withdrawal(project: Project, name: str, commitments: frozenset[bytes]) -> Request | None:
    """Rows that their owner took out are a request of their own: entombed now, and to be forgotten by what learned from them."""
    if not commitments:
        return None
    request = project.ledger.request_commitments(
        name, commitments, kind=WITHDRAWAL, regulation=project.regulation, calendar=project.calendar
    )
    project.ledger.entomb(request.id)
    return request


def _made_anew(project: Project, info: DatasetInfo, made_from: Collection[str]) -> list[str]:
    """A derived dataset that was made anew from what stays is done for the requests whose records it may have held."""
    notes = []
    for request in project.ledger.requests() if made_from else ():
        held = find_targets(project, request.id) if request.state.open else []
        if not any(one.name == f"{DATASET}:{info.name}" and one.derived and not one.target.done for one in held):
            continue
        if begun(project, request.id):
            project.ledger.finish_target(request.id, f"{DATASET}:{info.name}", {"manifest": info.manifest})
            notes.append(f"'{info.name}' was made anew: nothing of {request.id} is in it any more")
        else:
            notes.append(
                f"the records of {request.id} are not entombed yet, so '{info.name}' may hold something of them; "
                f"`expunge forget {request.id}`, then make it anew"
            )
    return notes


def _said(name: str, n: int, file: Path) -> str:
    return (
        f"{plural(n, 'row')} of {file} {'is' if n == 1 else 'are'} not recorded in '{name}': nothing trains on them and no request "
        f"finds them. `expunge data add {file} --name {name}` with the same columns takes them in; rows of people who were erased "
        "take out first"
    )


def _gone(n: int) -> list[str]:
    return [f"{plural(n, 'row')} that open requests are about are gone from the file, as is expected"] if n else []


def _grown(project: Project, growth: Growth) -> list[str]:
    notes = _gone(growth.n_gone)
    if growth.n_waiting:
        notes.append(f"{plural(growth.n_waiting, 'new row')} of people who asked to leave were not taken in")
    if growth.n_entombed:
        notes.append(f"{plural(growth.n_entombed, 'row')} that were erased or withdrawn are in the file, and stay out")
    erased = project.ledger.count_subjects(growth.dataset.name)["erased"]
    if growth.n_people and erased and suppression_of(project) is None:
        notes.append(
            f"taken in were {plural(growth.n_people, 'person', 'people')} of whom nothing was recorded; {erased} were erased from "
            "this dataset, and without a suppression list nobody can tell whether they came back among them"
        )
    return notes
