"""The people of a request, found again in the data: their names, their records, and what can be asked about them."""

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass

from expunge.core import Fact, Record
from expunge.ledger import LiveRow, ModelVersion, Request
from expunge.workflow.project.project import Project


@dataclass(frozen=True)
class Leaving:
    """What leaves a dataset, or a model that learned from one, among the rows it has. Names stay in memory.

    `gone` are the commitments that leave: those of the request, and whatever is entombed already, for nothing of that may be
    trained on again; and those of other open requests whose rows are gone from the file, for nothing can be trained on them:
    these leave `along`. Of all that the model's own records that can no longer be had, for their rows are gone or their
    people's keys are destroyed, are `lost`.
    """

    request: Request
    dataset: str
    rows: tuple[LiveRow, ...]
    gone: Set[bytes]
    lost: Set[bytes] = frozenset()
    along: tuple[str, ...] = ()

    @property
    def theirs(self) -> list[LiveRow]:
        return [row for row in self.rows if row.commitment in self.gone]

    @property
    def staying(self) -> list[LiveRow]:
        return [row for row in self.rows if row.commitment not in self.gone]

    def names_of(self, refs: Collection[str]) -> set[str]:
        """The names of these subjects, as far as their rows are there."""
        named = (pair for row in self.rows for pair in zip(row.refs, row.record.subjects, strict=True))
        return {name for ref, name in named if ref in refs}

    @property
    def records(self) -> list[Record]:
        """All records, theirs included."""
        return [row.record for row in self.rows]

    @property
    def retained(self) -> list[Record]:
        return [row.record for row in self.staying]


def who_leaves(
    project: Project, request: str, version: ModelVersion | None = None, dataset: str | None = None
) -> Leaving:
    """Of one of the request's datasets, by default the first; or of what a version learned from, as far as that is known.

    Raises: UnknownName; DigestMismatch, if the data is no longer what was added.
    """
    found = project.ledger.get_request(request)
    dataset = (version.dataset if version else None) or dataset or found.dataset
    theirs = project.ledger.records_of(request)
    if version is None or not version.members_known:
        live = project.ledger.live_data(dataset, theirs)
        return Leaving(found, dataset, live.rows, theirs, theirs & live.gone)
    members = members_of(project, version)
    live = project.ledger.live_data(dataset, members)
    gone = theirs | project.ledger.entombed(dataset)
    along = _along(project, dataset, (live.gone & members) - gone)
    gone = (gone | {c for other in along for c in project.ledger.records_of(other)}) & members
    rows = tuple(row for row in live.rows if row.commitment in members)
    return Leaving(found, dataset, rows, gone, gone - {row.commitment for row in rows}, along)


def _along(project: Project, dataset: str, missing: Set[bytes]) -> tuple[str, ...]:
    """The open requests that are about rows which are gone from the file already."""
    return tuple(sorted({project.ledger.asked_for(dataset)[c] for c in missing})) if missing else ()


def rows_of_version(project: Project, version: ModelVersion) -> tuple[LiveRow, ...]:
    """What a version learned from: also what was entombed since, as long as its rows are there and its people have keys.

    Raises: DigestMismatch, if the data is no longer what was added.
    """
    assert version.dataset is not None
    members = members_of(project, version)
    rows = project.ledger.live_data(version.dataset, members).rows
    return tuple(row for row in rows if row.commitment in members)


def members_of(project: Project, version: ModelVersion) -> set[bytes]:
    """The commitments of the records that a version is known to have learned from."""
    units = project.ledger.unit_members(version.model, version.digest).values()
    return {commitment for unit in units for commitment in unit}


def facts_of(records: Iterable[Record]) -> list[Fact]:
    """What can be asked without knowing more: one fact per record, or per value where several records state the same."""
    facts: dict[tuple[str, str], Fact] = {}
    for r in records:
        facts.setdefault((r.subject, r.value or r.id), Fact(r.id, r.subject, r.question, r.answer, r.value))
    return list(facts.values())
