"""The people of a request, found again in the data: their names, their records, and what can be asked about them."""

from collections.abc import Iterable
from dataclasses import dataclass

from expunge.core import Fact, Record
from expunge.ledger import LiveRow, Request
from expunge.workflow.project.project import Project


@dataclass(frozen=True)
class Leaving:
    """A request's people among the live records of its dataset. Names stay in memory."""

    request: Request
    rows: tuple[LiveRow, ...]

    @property
    def theirs(self) -> list[LiveRow]:
        return [row for row in self.rows if row.subject in set(self.request.subjects)]

    @property
    def names(self) -> list[str]:
        return sorted({row.record.subject for row in self.theirs})

    @property
    def records(self) -> list[Record]:
        """All live records, theirs included."""
        return [row.record for row in self.rows]

    @property
    def retained(self) -> list[Record]:
        gone = set(self.request.subjects)
        return [row.record for row in self.rows if row.subject not in gone]

    @property
    def commitments(self) -> dict[str, bytes]:
        return {row.record.id: row.commitment for row in self.rows}


def who_leaves(project: Project, request: str) -> Leaving:
    """Raises: UnknownName; DigestMismatch, if the data is no longer what was added."""
    found = project.ledger.get_request(request)
    return Leaving(found, project.ledger.live_data(found.dataset).rows)


def facts_of(records: Iterable[Record]) -> list[Fact]:
    """What can be asked without knowing more: one fact per record, or per value where several records state the same."""
    facts: dict[tuple[str, str], Fact] = {}
    for r in records:
        facts.setdefault((r.subject, r.value or r.id), Fact(r.id, r.subject, r.question, r.answer, r.value))
    return list(facts.values())
