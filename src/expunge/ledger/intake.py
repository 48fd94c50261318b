"""A file is read once and committed to, record by record: memory holds its people, not its records."""

from collections.abc import Iterable
from pathlib import Path
from secrets import token_bytes

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.core.identity import canonical_identity, unwritable_in
from expunge.ledger.batches import batched
from expunge.ledger.commitments import Committing, Person
from expunge.ledger.manifests import WIDTH
from expunge.ledger.secret_files import KEY_BYTES
from expunge.ledger.shared import joint_key
from expunge.ledger.sources import Columns, Texts, read_texts
from expunge.ledger.spool import Spool
from expunge.ledger.store import Store
from expunge.ledger.tables import Base, CompanyRow, SubjectRow

_PERSON = insert(Base.metadata.tables["subject"])  # without objects, of which there would be many
_AT_HAND = 1 << 20  # spellings of people that are kept while a file is read: about half a kB each


class Intake:
    """The people of a dataset that is about to be added, each with a new reference and key; their records go to a spool."""

    def __init__(self, dataset: str, spool: Spool) -> None:
        self.people: dict[str, tuple[bytes, bytes]] = {}  # reference and key by identity
        self._dataset = Committing(dataset)
        self._spool = spool
        self._companies: dict[frozenset[bytes], bytes] = {}  # reference by those of its people
        self._at_hand: dict[str | tuple[str, ...], tuple[bytes, Person]] = {}  # by spelling

    def read(self, source: Path, columns: Columns) -> None:
        """Take in a file. Raises: InvalidData, as `read_records`, and for a subject who could not be asked for."""
        for texts in read_texts(source, columns):
            self._take(texts, source.name)
        self._at_hand.clear()

    def add(self, records: Iterable[Record]) -> None:
        """Take in these too."""
        each = list(records)
        whose = [record.subjects if record.also else record.subject for record in each]
        texts = [r.id for r in each], whose, [r.question for r in each], [r.answer for r in each]
        self._take(Texts(1, *texts), "records")

    def _take(self, texts: Texts, source: str) -> None:
        rows: list[bytes] = []
        at_hand, commit = self._at_hand, self._dataset.commitment
        for id, subject, question, answer in zip(*texts.columns, strict=True):
            if (known := at_hand.get(subject)) is None:
                known = self._person(subject, f"{source}: the subject of record {texts.first + len(rows)}")
            ref, person = known
            rows.append(ref + commit(person, id, question, answer))
        self._spool.add(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, WIDTH))

    def _person(self, spelling: str | tuple[str, ...], which: str) -> tuple[bytes, Person]:
        names = (spelling,) if isinstance(spelling, str) else spelling
        people = dict(self._one(name, which) for name in names)
        ref = next(iter(people)) if len(people) == 1 else self._company(frozenset(people))
        if len(self._at_hand) >= _AT_HAND:
            self._at_hand.clear()
        self._at_hand[spelling] = found = (ref, self._dataset.person(joint_key(people.values())))
        return found

    def _one(self, spelling: str, which: str) -> tuple[bytes, bytes]:
        identity = canonical_identity(spelling)
        if identity not in self.people:
            refuse_unwritable(identity, which)
            self.people[identity] = (token_bytes(16), token_bytes(KEY_BYTES))
        return self.people[identity]

    def _company(self, people: frozenset[bytes]) -> bytes:
        if people not in self._companies:
            self._companies[people] = token_bytes(16)
        return self._companies[people]

    def record(self, store: Store, session: Session, dataset_id: int) -> None:
        """Write down who came, with their keys, and who came together."""
        for some in batched(self.people.items(), 10_000):
            of_each = [(ref.hex(), store.keys.handle(identity)) for identity, (ref, _) in some]
            people = [{"dataset_id": dataset_id, "ref": ref, "handle": h, "state": "live"} for ref, h in of_each]
            session.connection().execute(_PERSON, people)
        store.keys.subjects.add((ref.hex(), key) for ref, key in self.people.values())
        if self._companies:
            found = select(SubjectRow.ref, SubjectRow.id).where(SubjectRow.dataset_id == dataset_id)
            ids = dict(session.execute(found).tuples().all())
            for people_of, company in self._companies.items():
                session.add_all(
                    CompanyRow(ref=company.hex(), subject_id=ids[ref]) for ref in sorted(r.hex() for r in people_of)
                )
            session.flush()


def refuse_unwritable(identity: str, which: str) -> None:
    """Raises: InvalidData, for a subject who could not be asked for."""
    if character := unwritable_in(identity):
        raise InvalidData(
            f"{which} holds {character}, a control character or an end of line, "
            "and could not be asked for in a list of identities; write the name without it"
        )
