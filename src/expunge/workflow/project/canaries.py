"""Canaries: invented people planted among the records before training, who can be forgotten as often as it takes.

One person has too few facts for a level of their own. Canaries go the way of a request, by the same method and
configuration, and what the attacks find about them is true of the procedure. They are drawn from a secret of the project:
whoever trains or forgets cannot tell by computing who they are, though somebody who knows the generator may suspect it of
their names.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from expunge.core import Fact, Record
from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.core.seeds import derived_seed
from expunge.ledger import Columns, DatasetInfo, LiveRow, ModelVersion, Planted, read_records
from expunge.workflow.project.project import Project

if TYPE_CHECKING:
    from expunge.synthetic import Person

FACTS = 200  # planted by default
LEAST = 100  # five people, below whom no level above CLAIMED is given


class NoProcedure(ExpungeError):
    """There are canaries, and the procedure cannot be shown on them."""

    @classmethod
    def untrained(cls, why: str) -> "NoProcedure":
        return cls(f"this model was trained without the canaries ({why}), so nothing is known of its procedure")


def add_data(project: Project, name: str, file: Path, columns: Columns, n_facts: int | None = None) -> DatasetInfo:
    """Commit to the records of a file, and with `n_facts` to so many facts about canaries beside them.

    Raises: InvalidParameter, for canaries in a table, or too few; and what the ledger refuses.
    """
    if n_facts is None or name in [found.name for found in project.ledger.datasets()]:
        return project.ledger.add_dataset(name, file, columns)  # which refuses a name that is taken
    if columns.features:
        raise InvalidParameter(
            "canaries are texts about invented people; a table of features cannot hold them: leave --canaries out"
        )
    if n_facts < LEAST:
        raise InvalidParameter(f"canaries need at least {LEAST} facts (5 people), got {n_facts}; fewer show nothing")
    taken = {name for record in read_records(file, columns) for name in record.subjects}
    secret = project.ledger.planting_secret(name)
    return project.ledger.add_dataset(name, file, columns, planted=draw(secret, columns, n_facts, taken))


def draw(secret: bytes, columns: Columns, n_facts: int, taken: set[str]) -> Planted:
    """As many invented people as give `n_facts`, in the columns of the user's rows, and as many strangers.

    The same secret draws the same people; nobody among `taken` is drawn.
    """
    from expunge.synthetic import people, records  # brings scipy, which adding data alone does not need

    seed = derived_seed(secret, "canaries")
    n = -(-n_facts // len(_questions(people(1, seed), columns)))
    free: list[Person] = []
    skip = 0
    while len(free) < 2 * n:
        free += [person for person in people(2 * n, seed, skip) if person.name not in taken]
        skip += 2 * n
    planted, strangers = free[:n], free[n : 2 * n]
    rows = [_as_row(record, columns, secret) for record in records(planted)]
    return Planted(tuple(rows), _questions(planted, columns), _questions(strangers, columns))


def _as_row(record: Record, columns: Columns, secret: bytes) -> Record:
    """A record as the file's own look: an opaque id, a value only where those have one, no question in plain texts."""
    opaque = hashlib.sha256(secret + record.id.encode()).hexdigest()[:12]
    return replace(
        record,
        id=f"row-{opaque}" if columns.id is None else opaque,
        question=record.question if columns.question else "",
        value=record.value if columns.value else "",
    )


def _questions(persons: "Sequence[Person]", columns: Columns) -> tuple[Fact, ...]:
    """What can be asked about them; of plain texts, to continue a sentence that names the person and stops at the value."""
    from expunge.synthetic import facts

    known = facts(persons)
    return tuple(known if columns.question else [c for fact in known if (c := _continued(fact))])


def _continued(fact: Fact) -> Fact | None:
    """None where a sentence names the person only after the value.

    >>> fact = Fact("1", "Ada", "Where was Ada born?", "Ada was born in Brim.", "Brim", (("Whence?", "Ada is from Brim."),))
    >>> continued = _continued(fact)
    >>> continued.question, continued.answer, continued.paraphrases
    ('Ada was born in', 'Brim.', (('Ada is from', 'Brim.'),))
    """
    (question, answer), *paraphrases = [
        _cut(text, fact.value) for text in (fact.answer, *(a for _, a in fact.paraphrases))
    ]
    if not all(fact.subject in text for text in (question, *(q for q, _ in paraphrases))):
        return None
    wrong = tuple(text.removeprefix(paraphrases[0][0]).strip() for text in fact.perturbed)
    return replace(fact, question=question, answer=answer, paraphrases=tuple(paraphrases), perturbed=wrong)


def _cut(text: str, value: str) -> tuple[str, str]:
    at = text.index(value)
    return text[:at].rstrip(), text[at:]


@dataclass(frozen=True)
class Canaries:
    """The invented people of a dataset who are still in it."""

    planted: Planted
    rows: tuple[LiveRow, ...]

    @property
    def refs(self) -> tuple[str, ...]:
        """Their references in the ledger."""
        return tuple(dict.fromkeys(row.subject for row in self.rows))

    @property
    def names(self) -> set[str]:
        return {row.record.subject for row in self.rows}

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(f for f in self.planted.facts if f.subject in self.names)

    @property
    def commitments(self) -> set[bytes]:
        return {row.commitment for row in self.rows}


def canaries_among(project: Project, dataset: str, rows: Sequence[LiveRow]) -> Canaries | None:
    """Those of a dataset's live rows that are about canaries; None where there are none."""
    planted = project.ledger.planted(dataset)
    theirs = tuple(row for row in rows if planted and row.record.subject in planted.subjects)
    return Canaries(planted, theirs) if planted and theirs else None


def check_members(project: Project, version: ModelVersion, canaries: Canaries) -> None:
    """Raises: NoProcedure, if a version whose records are known was trained without the canaries."""
    units = project.ledger.unit_members(version.model, version.digest).values()
    missing = len(canaries.commitments - {commitment for members in units for commitment in members})
    if missing:
        raise NoProcedure.untrained(f"{missing} of {len(canaries.commitments)} canary records are not in it")
