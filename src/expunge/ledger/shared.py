"""Records about several people. Together they are a company, with a reference of its own that manifests have in place of one
person's; its key is made of the keys of all, and cannot be had once one of them is destroyed.

So a record is committed to under everybody it is about, and the number of rows here follows the companies, never the records.
"""

import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from expunge.core import Record
from expunge.ledger.store import Store
from expunge.ledger.tables import CompanyRow, SubjectRow


def joint_key(keys: Collection[bytes]) -> bytes:
    """Of one person their own key; of several one that needs all of theirs, in whatever order.

    >>> joint_key([b"a"]), joint_key([b"a", b"b"]) == joint_key([b"b", b"a"])
    (b'a', True)
    """
    if len(keys) == 1:
        return next(iter(keys))
    return hmac.digest(b"".join(sorted(keys)), b"expunge/several-subjects/v1", "sha256")


def companies(session: Session, dataset_id: int) -> dict[str, frozenset[str]]:
    """Of each company of a dataset the references of its people."""
    found: dict[str, set[str]] = {}
    rows = select(CompanyRow.ref, SubjectRow.ref).join(SubjectRow, SubjectRow.id == CompanyRow.subject_id)
    for company, ref in session.execute(rows.where(SubjectRow.dataset_id == dataset_id)).tuples():
        found.setdefault(company, set()).add(ref)
    return {company: frozenset(refs) for company, refs in found.items()}


def with_companies(session: Session, refs: Iterable[str]) -> set[str]:
    """These people, and every company that one of them is in: what manifests have records of theirs under."""
    wanted = set(refs)
    theirs = select(CompanyRow.ref, SubjectRow.ref).join(SubjectRow, SubjectRow.id == CompanyRow.subject_id)
    return wanted | {company for company, ref in session.execute(theirs).tuples() if ref in wanted}


def part_companies(session: Session, subject_ids: Collection[int]) -> None:
    """Forget every company that one of these is in; nothing is recorded under it any more."""
    theirs = select(CompanyRow.ref).where(CompanyRow.subject_id.in_(subject_ids))
    session.execute(delete(CompanyRow).where(CompanyRow.ref.in_(theirs)))


class People:
    """Who is in a dataset, found by name: their references, keys, and companies."""

    def __init__(self, store: Store, session: Session, dataset_id: int) -> None:
        found = select(SubjectRow.handle, SubjectRow.ref).where(SubjectRow.dataset_id == dataset_id)
        self._refs = {handle: ref for handle, ref in session.execute(found).tuples() if handle is not None}
        self._companies = {people: company for company, people in companies(session, dataset_id).items()}
        self._keys: Mapping[str, bytes] = store.keys.subjects.all()
        self._store, self._dataset = store, dataset_id
        self._known: dict[str, str | None] = {}

    def refs(self, record: Record) -> tuple[str | None, ...]:
        """The reference of everybody a record is about; None of who is nobody here, or has no key."""
        return tuple(map(self._ref, record.subjects))

    def _ref(self, name: str) -> str | None:
        if name not in self._known:
            ref = self._refs.get(self._store.keys.handle(name))
            self._known[name] = ref if ref in self._keys else None
        return self._known[name]

    def subject(self, refs: Collection[str | None]) -> str | None:
        """What manifests have records of these people under; None where they have none."""
        if len(refs) == 1:
            return next(iter(refs))
        return self._companies.get(frozenset(ref for ref in refs if ref)) if None not in refs else None

    def key(self, refs: Collection[str | None]) -> bytes:
        """Under which a record of all these people is committed to."""
        return joint_key([self._keys[ref] for ref in refs if ref])

    def welcome(self, session: Session, records: Collection[Record]) -> int:
        """Give a reference and a key to everybody who has none, and a reference to every new company; how many people came."""
        names = dict.fromkeys(name for record in records for name in record.subjects if self._ref(name) is None)
        new = {name: uuid4().hex for name in names}
        session.add_all(
            SubjectRow(dataset_id=self._dataset, ref=ref, handle=self._store.keys.handle(name), state="live")
            for name, ref in new.items()
        )
        session.flush()
        self._keys = {**self._keys, **self._store.keys.subjects.create(new.values())}
        self._known |= new
        met = dict.fromkeys(frozenset(filter(None, self.refs(record))) for record in records if record.also)
        self._meet(session, [people for people in met if people not in self._companies])
        return len(new)

    def _meet(self, session: Session, new: Collection[frozenset[str]]) -> None:
        if not new:
            return
        found: Any = select(SubjectRow.ref, SubjectRow.id).where(SubjectRow.dataset_id == self._dataset)
        ids = dict(session.execute(found).tuples().all())
        for people in new:
            company = self._companies[people] = uuid4().hex
            session.add_all(CompanyRow(ref=company, subject_id=ids[ref]) for ref in sorted(people))
        session.flush()


def count_shared(session: Session, dataset_id: int, manifest: Mapping[bytes, str], refs: Collection[str]) -> int:
    """How many records of these people are about others too."""
    wanted = set(refs)
    others = {c for c, people in companies(session, dataset_id).items() if people & wanted and people - wanted}
    return sum(ref in others for ref in manifest.values()) if others else 0
