"""Requests about records by themselves, whoever they are of: the records are erased, and their people stay."""

from collections.abc import Collection
from datetime import datetime

from expunge.core.errors import EmptyForgetSet
from expunge.ledger.asked_for import records_asked_for
from expunge.ledger.datasets import dataset_row, newest_version
from expunge.ledger.deadlines import Calendar, Regulation
from expunge.ledger.manifests import read_manifest
from expunge.ledger.requests import (
    UTC_DAYS,
    Request,
    RequestState,
    append_event,
    get_request,
    new_request,
    request_records,
    request_row,
)
from expunge.ledger.shared import count_shared
from expunge.ledger.store import Store
from expunge.ledger.subjects import count_records
from expunge.ledger.tables import RequestRecordRow

ERASURE, WITHDRAWAL = "erasure", "withdrawal"


def request_commitments(
    store: Store,
    name: str,
    commitments: Collection[bytes],
    *,
    kind: str = ERASURE,
    no_match: int = 0,
    received_at: datetime | None = None,
    regulation: Regulation = Regulation.GDPR,
    calendar: Calendar = UTC_DAYS,
) -> Request:
    """Record that these records of a dataset are to leave. `no_match`: how many more were asked for, and are not in it.

    What an open request is about already is counted in the event `received`, as for people (`open_request`). `kind` says why:
    somebody asked, or the records' owner withdrew them from the dataset's file.

    Raises: EmptyForgetSet, if nothing is named; UnknownName; InvalidParameter, if `received_at` has no time zone.
    """
    if not commitments and not no_match:
        raise EmptyForgetSet(f"no record of dataset '{name}' was named; give the ids of the records, one a line")
    with store.database.write() as session:
        dataset = dataset_row(session, name)
        newest = newest_version(session, dataset)
        manifest = read_manifest(store.manifests, newest.manifest)
        known = {c for c in commitments if c in manifest}
        waiting = {c: request for c, request in records_asked_for(session, dataset, manifest).items() if c in known}
        new = known - waiting.keys()
        state = RequestState.RECEIVED
        if not new:
            state = RequestState.DUPLICATE if waiting else RequestState.NO_MATCH
        row = new_request(session, kind, dataset.id, state, received_at, None, regulation, calendar)
        session.add_all(RequestRecordRow(request_id=row.id, commitment=c, dataset_id=dataset.id) for c in sorted(new))
        session.flush()
        outcome = {
            "n_subjects": 0,
            "n_people": 0,
            "n_records": len(new),
            "no_match": no_match + len(set(commitments) - known),
            "duplicate": len(waiting),
            "duplicate_of": sorted(set(waiting.values())),
            "searched": {name: newest.manifest},
        }
        append_event(store, row.public_id, "received", outcome)
        if state is not RequestState.RECEIVED:
            append_event(store, row.public_id, state.value, {})
        return get_request(store, row.public_id)


def count_requested(store: Store, request: str, name: str) -> int:
    """How many records of a dataset's newest version a request is about. Raises: UnknownName."""
    with store.database.read() as session:
        found = get_request(store, request)
        if not found.n_records:
            return count_records(store, name, found.subjects)
        by_themselves = request_records(session, request_row(session, request))
        manifest = read_manifest(store.manifests, newest_version(session, dataset_row(session, name)).manifest)
        return len(by_themselves & manifest.keys())


def count_requested_of_others(store: Store, request: str, name: str) -> int:
    """How many of a request's records in a dataset are about people too who did not ask. Raises: UnknownName."""
    with store.database.read() as session:
        row = dataset_row(session, name)
        manifest = read_manifest(store.manifests, newest_version(session, row).manifest)
        return count_shared(session, row.id, manifest, get_request(store, request).subjects)
