"""People who were erased and come back by an import, a restored file or a second dataset: named, refused or let through.

Only where a project keeps a suppression list (`[suppression]` in `expunge.toml`); without one nobody can recognise them, and the
certificate says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from expunge.core.errors import InvalidData, InvalidParameter
from expunge.ledger import Columns, read_records
from expunge.report.words import plural
from expunge.workflow.project.leaving import who_leaves
from expunge.workflow.project.project import Project

RULES = ("name", "refuse", "let")
WITHOUT = "without a suppression key, the same person arriving in a new dataset is not recognised"


@dataclass(frozen=True)
class Suppression:
    """On which legal basis the list is kept, for how many days an entry, and what happens to those who come back."""

    basis: str
    keep_days: int
    on_return: str

    @property
    def sentence(self) -> str:
        """What a certificate says of it."""
        return (
            f"a suppression list keeps a keyed hash of each person for {plural(self.keep_days, 'day')}, on the basis of "
            f"{self.basis}; who comes back in a dataset of this project is recognised ({self.on_return}), elsewhere nobody is"
        )


def suppression_of(project: Project) -> Suppression | None:
    """None where the project keeps no list. Raises: InvalidParameter."""
    found = project.config.get("suppression")
    if found is None:
        return None
    if unknown := sorted(found.keys() - {"basis", "keep_days", "on_return"}):
        raise InvalidParameter(f"[suppression] knows basis, keep_days and on_return, not `{unknown[0]}`")
    basis, days, rule = str(found.get("basis", "")), found.get("keep_days"), str(found.get("on_return", "refuse"))
    if not basis.strip() or not isinstance(days, int) or days < 1 or rule not in RULES:
        raise InvalidParameter(
            "[suppression] in expunge.toml needs `basis`, the legal basis on which hashes of people are kept, `keep_days`, and "
            f"`on_return`, one of {', '.join(RULES)}"
        )
    return Suppression(basis, days, rule)


def reimport_sentence(project: Project, request: str) -> str:
    """What a certificate says of who comes back after a request."""
    if (kept := suppression_of(project)) is None:
        return WITHOUT
    left = next((e.detail["n_subjects"] for e in project.ledger.events(request) if e.kind == "not_listed"), 0)
    unnamed = f"; {plural(left, 'subject')} of this request could not be put on it, for their rows were gone from the file before"
    return kept.sentence + unnamed * bool(left)


def check_returning(project: Project, identities: Iterable[str], where: str) -> list[str]:
    """What is to be said of erased people among these; each return is an event of the request that erased them.

    Raises: InvalidData, where the project refuses them: nothing was added.
    """
    rules = suppression_of(project)
    if rules is None or not (back := project.ledger.returning(identities)):
        return []
    for request in sorted(set(back.values())):
        n_people = sum(one == request for one in back.values())
        project.ledger.append_event(
            request, "returned", {"where": where, "n_people": n_people, "rule": rules.on_return}
        )
    sentence = f"{where} holds {len(back)} of those who were erased ({', '.join(sorted(set(back.values())))})"
    if rules.on_return == "refuse":
        raise InvalidData(f"{sentence}; nothing was added. Take their rows out, or change on_return of [suppression]")
    return [] if rules.on_return == "let" else [sentence]


def subjects_in(project: Project, file: Path, columns: Columns) -> list[str]:
    """Who is in a file, if the project keeps a list; without one it is not read for this."""
    if suppression_of(project) is None:
        return []
    return list(dict.fromkeys(name for record in read_records(file, columns) for name in record.subjects))


def remember(project: Project, request: str) -> int:
    """Put a request's people on the list, where there is one, before their keys die. Returns how many.

    Whose rows are all gone from their file cannot be named any more, and is not on it: an event says so, and the certificate.
    """
    rules = suppression_of(project)
    if rules is None:
        return 0
    found = project.ledger.get_request(request)
    if not found.subjects:
        return 0  # of a request about records by themselves the people stay
    names, unnamed = set[str](), set(found.subjects)
    for dataset in found.datasets:
        leaving = who_leaves(project, request, dataset=dataset)
        names |= leaving.names_of(found.subjects)
        unnamed -= {ref for row in leaving.rows for ref in row.refs}
    if unnamed:
        project.ledger.append_event(request, "not_listed", {"n_subjects": len(unnamed)})
    until = (datetime.now(UTC) + timedelta(days=rules.keep_days)).date()
    return project.ledger.suppress(request, sorted(names), rules.basis, until) if names else 0
