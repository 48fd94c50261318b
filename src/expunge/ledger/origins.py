"""Derived datasets: which ones each was made from, at whatever remove."""

from collections.abc import Collection, Mapping

from sqlalchemy import select

from expunge.core.errors import InvalidParameter
from expunge.ledger.datasets import dataset_row
from expunge.ledger.store import Store
from expunge.ledger.tables import DatasetOriginRow, DatasetRow


def note_origins(store: Store, name: str, origins: Collection[str]) -> None:
    """Record that a dataset was made from these; those that are recorded stay.

    Raises: UnknownName; InvalidParameter, where a dataset would be made from itself.
    """
    with store.database.write() as session:
        row = dataset_row(session, name)
        for origin in dict.fromkeys(origins):
            if origin == name or name in ancestors(store, origin):
                raise InvalidParameter(
                    f"'{name}' cannot be made from '{origin}', which is made from it; leave --from out"
                )
            known = (row.id, dataset_row(session, origin).id)
            if session.get(DatasetOriginRow, known) is None:
                session.add(DatasetOriginRow(dataset_id=known[0], origin_id=known[1]))
        session.flush()


def dataset_origins(store: Store) -> dict[str, tuple[str, ...]]:
    """Of every derived dataset those that it was made from itself, in the order in which they were added."""
    with store.database.read() as session:
        names: dict[int, str] = dict(session.execute(select(DatasetRow.id, DatasetRow.name)).tuples().all())
        found: dict[str, tuple[str, ...]] = {}
        order = (DatasetOriginRow.dataset_id, DatasetOriginRow.origin_id)
        for row in session.scalars(select(DatasetOriginRow).order_by(*order)):
            found[names[row.dataset_id]] = (*found.get(names[row.dataset_id], ()), names[row.origin_id])
        return found


def ancestors(store: Store, name: str) -> set[str]:
    """Every dataset that this one was made from, at whatever remove."""
    origins = dataset_origins(store)
    return {one for one in origins_of(origins, name) if one != name}


def origins_of(origins: Mapping[str, Collection[str]], name: str) -> list[str]:
    """A dataset, and what it was made from, the nearest first.

    >>> origins_of({"c": ["b"], "b": ["a", "x"]}, "c")
    ['c', 'b', 'a', 'x']
    """
    found = [name]
    for one in found:  # grows meanwhile
        found += [origin for origin in origins.get(one, ()) if origin not in found]
    return found
