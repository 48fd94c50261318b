"""Which models learned from somebody."""

from collections.abc import Sequence
from dataclasses import dataclass

from expunge.core import TouchedUnit
from expunge.ledger.content import digest_of
from expunge.ledger.members import read_members
from expunge.ledger.models import ModelVersion, unit_rows, versions_in_use
from expunge.ledger.store import Store
from expunge.ledger.subjects import commitments_of


@dataclass(frozen=True)
class LearnedVersion:
    """A version that learned from the subjects: the units touched, and how many of their records it saw."""

    version: ModelVersion
    units: tuple[TouchedUnit, ...]
    n_records: int


@dataclass(frozen=True)
class LearnedFrom:
    """Versions known to have learned, and versions whose data is not, or not wholly, known.

    A version can be in both: some of its units learned from the subjects, and of others nothing is known.
    """

    versions: tuple[LearnedVersion, ...]
    unknown: tuple[ModelVersion, ...]


def models_that_learned_from(store: Store, subjects: Sequence[str]) -> LearnedFrom:
    """Look through the members of every version that is not purged.

    Raises: UnknownSubject, if a reference is erased or unknown; DigestMismatch, if a manifest or member file
    is altered.
    """
    learned: list[LearnedVersion] = []
    unknown: list[ModelVersion] = []
    with store.database.read() as session:
        theirs = commitments_of(store, session, subjects)
        for row, version in versions_in_use(session):
            touched: list[TouchedUnit] = []
            records: set[bytes] = set()
            for unit in unit_rows(session, row):
                if unit.members is not None and (hits := read_members(store.members, digest_of(unit.members), theirs)):
                    touched.append(TouchedUnit(unit.name, len(hits), min(hits.values())))
                    records |= hits.keys()
            if touched:
                learned.append(LearnedVersion(version, tuple(touched), len(records)))
            if not version.members_known:
                unknown.append(version)
    return LearnedFrom(tuple(learned), tuple(unknown))
