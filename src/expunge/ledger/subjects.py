"""Find people by identity, and their records by reference."""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from expunge.core.errors import EmptyForgetSet, UnknownSubject
from expunge.ledger.batches import batched
from expunge.ledger.datasets import dataset_row, newest_manifest
from expunge.ledger.manifests import records_of_subjects
from expunge.ledger.shared import with_companies
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetRow, SubjectRow

_LIVE = select(SubjectRow.dataset_id, SubjectRow.ref).where(
    SubjectRow.ref.in_(bindparam("refs", expanding=True)), SubjectRow.state == "live"
)
Identity = str | Sequence[str]  # of one person: one identity, or several


def find_subjects(store: Store, name: str, identities: Sequence[str]) -> dict[str, str]:
    """The opaque reference of each identity, as it was given.

    Raises: EmptyForgetSet, if none is given; UnknownName; UnknownSubject, by line of the input, never by
    identity.
    """
    if not identities:
        raise EmptyForgetSet(f"no subject was named; give the people to find in dataset '{name}', one per line")
    with store.database.read() as session:
        row = dataset_row(session, name)
        found: dict[str, str] = {}
        unknown: list[int] = []
        for line, identity in enumerate(identities, start=1):
            handle = store.keys.handle(identity)
            refs = select(SubjectRow.ref).where(SubjectRow.dataset_id == row.id, SubjectRow.handle == handle)
            if (ref := session.scalar(refs)) is None:
                unknown.append(line)
            else:
                found[identity] = ref
    if unknown:
        lines = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        have = "has" if len(unknown) == 1 else "have"
        raise UnknownSubject(
            f"{len(unknown)} of {len(identities)} subjects {have} no record in dataset '{name}' "
            f"(line {lines} of the input); check the spelling (letter case counts), or leave the line out"
        )
    return found


def match_people(
    store: Store, session: Session, datasets: Sequence[int], people: Sequence[Identity]
) -> list[tuple[str, ...]]:
    """Of each person the references of everybody in these datasets who has one of the identities; none: found nowhere.

    Raises: EmptyForgetSet, if nobody is named.
    """
    if not people:
        raise EmptyForgetSet("nobody was named; give the people to find, one per line")
    found = []
    for person in people:
        handles = {store.keys.handle(identity) for identity in ([person] if isinstance(person, str) else person)}
        live = select(SubjectRow.ref).where(SubjectRow.handle.in_(handles), SubjectRow.dataset_id.in_(datasets))
        found.append(tuple(session.scalars(live.order_by(SubjectRow.id))))
    return found


def datasets_that_hold(store: Store, identities: Iterable[str]) -> dict[str, int]:
    """How many of these people each dataset knows: an erasure from one leaves the others as they are."""
    handles = {store.keys.handle(identity) for identity in identities}
    counts: dict[str, int] = {}
    with store.database.read() as session:
        for handle in handles:
            held = select(DatasetRow.name).join(SubjectRow, SubjectRow.dataset_id == DatasetRow.id)
            for name in session.scalars(held.where(SubjectRow.handle == handle)):
                counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def commitments_of(store: Store, session: Session, refs: Sequence[str]) -> set[bytes]:
    """The commitments of live subjects, from their datasets' newest manifests.

    Raises: UnknownSubject, if a reference is unknown or its subject erased: nothing can be looked up for them
    any more.
    """
    wanted = set(refs)
    here: dict[int, list[str]] = {}
    for some in batched(wanted):
        for dataset_id, ref in session.execute(_LIVE, {"refs": some}):
            here.setdefault(dataset_id, []).append(ref)
    found: set[bytes] = set()
    for dataset_id, theirs in here.items():
        manifest = newest_manifest(session, dataset_id)
        under = with_companies(session, theirs)
        found.update(*records_of_subjects(store.manifests, manifest, under).values())
    if (n_known := sum(map(len, here.values()))) < len(wanted):
        raise UnknownSubject(
            f"{len(wanted) - n_known} of {len(wanted)} subject references are erased or unknown; "
            "what learned from them can only be looked up before the erasure ends"
        )
    return found


def count_records(store: Store, name: str, refs: Iterable[str]) -> int:
    """How many records of a dataset's newest version are of these subjects. Raises: UnknownName."""
    with store.database.read() as session:
        manifest = newest_manifest(session, dataset_row(session, name).id)
        under = with_companies(session, refs)
        return sum(map(len, records_of_subjects(store.manifests, manifest, under).values()))


def count_subjects(store: Store, name: str) -> dict[str, int]:
    """How many subjects of a dataset are live, and how many erased."""
    with store.database.read() as session:
        row = dataset_row(session, name)
        counted = select(SubjectRow.state, func.count().label("n")).where(SubjectRow.dataset_id == row.id)
        counts = {found.state: found.n for found in session.execute(counted.group_by(SubjectRow.state))}
        return {"live": counts.get("live", 0), "erased": counts.get("erased", 0)}
