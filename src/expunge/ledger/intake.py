"""A file is read once and committed to, record by record: memory holds its people, not its records."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from secrets import token_bytes

import numpy as np

from expunge.core import Record
from expunge.core.errors import InvalidData
from expunge.core.identity import canonical_identity, unwritable_in
from expunge.ledger.commitments import Committing, Person
from expunge.ledger.manifests import WIDTH
from expunge.ledger.secret_files import KEY_BYTES
from expunge.ledger.sources import Columns, Texts, read_texts
from expunge.ledger.spool import Spool

_AT_HAND = 1 << 20  # spellings of people that are kept while a file is read: about half a kB each


class Intake:
    """The people of a dataset that is about to be added, each with a new reference and key; their records go to a spool."""

    def __init__(self, dataset: str, spool: Spool) -> None:
        self.people: dict[str, tuple[bytes, bytes]] = {}  # reference and key by identity
        self._dataset = Committing(dataset)
        self._spool = spool
        self._at_hand: dict[str, tuple[bytes, Person]] = {}  # by spelling

    def read(self, source: Path, columns: Columns) -> None:
        """Take in a file. Raises: InvalidData, as `read_records`, and for a subject who could not be asked for."""
        for texts in read_texts(source, columns):
            self._take(texts, source.name)
        self._at_hand.clear()

    def add(self, records: Iterable[Record]) -> None:
        """Take in these too."""
        each = [(record.id, record.subject, record.question, record.answer) for record in records]
        if each:
            self._take(Texts(0, *map(list, zip(*each, strict=True))), "records")

    def _take(self, texts: Texts, source: str) -> None:
        rows: list[bytes] = []
        at_hand, commit = self._at_hand, self._dataset.commitment
        for id, subject, question, answer in zip(*texts.columns, strict=True):
            if (known := at_hand.get(subject)) is None:
                known = self._person(subject, f"{source}: the subject of record {texts.first + len(rows)}")
            ref, person = known
            rows.append(ref + commit(person, id, question, answer))
        self._spool.add(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, WIDTH))

    def _person(self, spelling: str, which: str) -> tuple[bytes, Person]:
        identity = canonical_identity(spelling)
        if identity not in self.people:
            if character := unwritable_in(identity):
                raise InvalidData(
                    f"{which} holds {character}, a control character or an end of line, "
                    "and could not be asked for in a list of identities; write the name without it"
                )
            self.people[identity] = (token_bytes(16), token_bytes(KEY_BYTES))
        ref, key = self.people[identity]
        if len(self._at_hand) >= _AT_HAND:
            self._at_hand.clear()
        self._at_hand[spelling] = found = (ref, self._dataset.person(key))
        return found

    def keys(self) -> Iterator[tuple[str, bytes]]:
        """The key of every reference."""
        return ((ref.hex(), key) for ref, key in self.people.values())
