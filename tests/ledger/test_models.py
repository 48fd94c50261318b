from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.ledger.conftest import PEOPLE

from expunge.core import Guarantee, Promise, TouchedUnit, Unit
from expunge.core.errors import (
    DigestMismatch,
    InvalidData,
    InvalidParameter,
    NotReady,
    UnknownName,
    UnknownSubject,
)
from expunge.ledger import UNKNOWN, Ledger, ModelVersion, UnitMembers, VersionState

PROMISE = Promise(guarantee=Guarantee.EXACT)


def _units(ledger: Ledger) -> list[UnitMembers]:
    """Ada and Zoë in unit 0, Basil in unit 1; two slices each, even records in the first."""
    refs = ledger.find_subjects("people", PEOPLE)
    units = []
    for name, who in (("shard-0", PEOPLE[:2]), ("shard-1", PEOPLE[2:])):
        rows = [r for r in ledger.live_data("people").rows if r.subject in {refs[p] for p in who}]
        members = tuple((r.commitment, 1 + n % 2) for n, r in enumerate(rows))
        sizes = Counter(s for _, s in members)
        units.append(UnitMembers(Unit(name, (sizes[1], sizes[2]), f"sha256:{name}"), members))
    return units


def _record(ledger: Ledger, digest: str = "sha256:v1", **changes: Any) -> ModelVersion:
    given: dict[str, Any] = {
        "kind": "adapter_shards",
        "digest": digest,
        "path": f"objects/{digest[7:]}",
        "dataset": "people",
        "trained_on": ledger.dataset("people").manifest,
        "recipe": {"lr": 0.1, "seed": 3},
        "promise": PROMISE,
    }
    given |= changes
    if "units" not in given:
        given["units"] = _units(ledger)
    return ledger.record_model_version("authors", **given)


def test_what_is_recorded(people: Ledger) -> None:
    version = _record(people)
    assert version.state is VersionState.CANDIDATE
    assert version.units == (
        Unit("shard-0", (4, 4), "sha256:shard-0"),
        Unit("shard-1", (2, 2), "sha256:shard-1"),
    )
    assert (version.recipe, version.promise) == (
        {"lr": 0.1, "seed": 3},
        PROMISE.to_json() | {"assumptions": []},
    )
    assert version.members_known
    assert Ledger.open(people.root).model_version("authors", "sha256:v1") == version
    assert people.models() == ("authors",)
    assert people.unit_members("authors", "sha256:v1") == {u.unit.id: dict(u.members or ()) for u in _units(people)}


def test_members_are_never_rows_of_the_database(people: Ledger) -> None:
    def rows() -> dict[str, int]:
        with people.database.read() as session:
            names = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
            return {n: session.scalar(text(f"SELECT count(*) FROM {n}")) or 0 for n in names}

    before = rows()
    _record(people)
    added = {name: n - before[name] for name, n in rows().items() if n != before[name]}
    assert added == {"model": 1, "model_version": 1, "unit": 2}
    assert len(list(people.members.iterdir())) == 2


def test_recording_again_changes_nothing_and_another_version_cannot_share_a_digest(people: Ledger) -> None:
    assert _record(people) == _record(people)
    with pytest.raises(InvalidData, match="already recorded"):
        _record(people, path="elsewhere")
    assert len(people.model_versions("authors")) == 1


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"trained_on": "sha256:00"}, InvalidParameter, "no manifest of its dataset"),
        ({"dataset": "orders"}, UnknownName, "no dataset 'orders'"),
        ({"parent": "sha256:v0"}, UnknownName, "no version of model 'authors' with digest 'sha256:v0'"),
        (
            {"units": [UnitMembers(Unit("u", (2,), "d"), ((b"a" * 32, 1),))]},
            InvalidData,
            "slices of \\[2\\] records",
        ),
        ({"units": [UnitMembers(Unit("u", (1,), "d"), ((b"a" * 32, 0),))]}, InvalidData, "slices count from 1"),
        (
            {"units": [UnitMembers(Unit("u", (2,), "d"), ((b"a" * 32, 1), (b"a" * 32, 1)))]},
            InvalidData,
            "records twice",
        ),
        ({"units": [UnitMembers(Unit("u", (1,), "d"), ((b"a", 1),))]}, InvalidData, "has 32 bytes; one of 1 was given"),
        ({"units": [UnitMembers(Unit("u", (), "d"), None)] * 2}, InvalidData, "lists a unit twice"),
    ],
)
def test_a_version_at_fault_is_refused_whole(
    people: Ledger, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        _record(people, **changes)
    assert (people.models(), list(people.members.iterdir())) == ((), [])


def test_a_failure_while_recording_leaves_no_file(people: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("expunge.ledger.models.version_info", fail)
    with pytest.raises(KeyboardInterrupt):
        _record(people)
    assert (people.models(), list(people.members.iterdir())) == ((), [])


def test_a_model_keeps_its_kind_and_dataset(people: Ledger) -> None:
    _record(people)
    with pytest.raises(InvalidParameter, match="kind 'adapter_shards'; now kind 'units'"):
        _record(people, "sha256:v2", kind="units")


def test_one_version_serves_and_the_one_before_is_quarantined(people: Ledger) -> None:
    _record(people)
    _record(people, "sha256:v2", parent="sha256:v1")
    assert people.current_version("authors") is None
    people.set_current("authors", "sha256:v1")
    assert people.set_current("authors", "sha256:v2") == people.set_current("authors", "sha256:v2")
    assert [v.state for v in people.model_versions("authors")] == [
        VersionState.QUARANTINED,
        VersionState.CURRENT,
    ]
    current = people.current_version("authors")
    assert current is not None
    assert (current.digest, current.parent) == ("sha256:v2", "sha256:v1")
    with pytest.raises(NotReady, match="quarantined and cannot serve"):
        people.set_current("authors", "sha256:v1")
    with pytest.raises(NotReady, match="still serves"):
        people.mark_purged("authors", "sha256:v2")


def test_purging_unlinks_the_lists_that_no_other_version_needs(people: Ledger) -> None:
    _record(people)
    units = _units(people)
    _record(people, "sha256:v2", units=[units[1]])  # shares the list of shard-1
    assert len(list(people.members.iterdir())) == 2
    assert people.mark_purged("authors", "sha256:v1") == people.mark_purged("authors", "sha256:v1")
    assert len(list(people.members.iterdir())) == 1
    assert people.unit_members("authors", "sha256:v2") == {"shard-1": dict(units[1].members or ())}
    for refused in (people.unit_members, people.set_current, people.quarantine):
        with pytest.raises(NotReady, match="purged"):
            refused("authors", "sha256:v1")


def test_which_models_learned_from_somebody(people: Ledger) -> None:
    recorded = _record(people)
    people.record_model_version("base", kind="adopted", digest="sha256:b", path="models/base")
    half = UnitMembers(Unit("rest", (), "sha256:r"), None)
    _record(people, "sha256:v2", units=[_units(people)[1], half])
    refs = people.find_subjects("people", PEOPLE)

    ada = people.models_that_learned_from([refs[PEOPLE[0]]])
    assert [(v.version, v.units, v.n_records) for v in ada.versions] == [(recorded, (TouchedUnit("shard-0", 4, 1),), 4)]
    assert [(v.model, v.digest, v.trained_on == UNKNOWN) for v in ada.unknown] == [
        ("base", "sha256:b", True),
        ("authors", "sha256:v2", False),
    ]
    both = people.models_that_learned_from([refs[PEOPLE[0]], refs[PEOPLE[2]]])
    assert [(v.version.digest, [u.id for u in v.units], v.n_records) for v in both.versions] == [
        ("sha256:v1", ["shard-0", "shard-1"], 8),
        ("sha256:v2", ["shard-1"], 4),
    ]


def test_the_first_touched_slice_is_the_smallest(people: Ledger) -> None:
    refs = people.find_subjects("people", PEOPLE)
    rows = people.live_data("people").rows
    members = tuple((r.commitment, 2 if r.subject == refs[PEOPLE[0]] else 1) for r in rows)
    _record(people, units=[UnitMembers(Unit("all", (8, 4), "sha256:a"), members)])
    (learned,) = people.models_that_learned_from([refs[PEOPLE[0]]]).versions
    assert learned.units == (TouchedUnit("all", 4, 2),)


def test_purged_versions_learned_nothing_any_more_and_the_erased_cannot_be_looked_up(
    people: Ledger, forget: Callable[..., str]
) -> None:
    _record(people)
    (ref,) = people.find_subjects("people", [PEOPLE[0]]).values()
    people.mark_purged("authors", "sha256:v1")
    assert people.models_that_learned_from([ref]).versions == ()
    forget(PEOPLE[0])
    with pytest.raises(UnknownSubject, match="erased or unknown"):
        people.models_that_learned_from([ref])


def test_an_altered_member_list_is_refused(people: Ledger) -> None:
    _record(people)
    paths: list[Path] = sorted(people.members.iterdir())
    paths[0].write_bytes(paths[1].read_bytes())
    (ref,) = people.find_subjects("people", [PEOPLE[0]]).values()
    with pytest.raises(DigestMismatch, match="altered"):
        people.models_that_learned_from([ref])


def test_a_version_trained_on_an_older_manifest_stays_known(people: Ledger, forget: Callable[..., str]) -> None:
    before = people.dataset("people").manifest
    forget(PEOPLE[0])
    units = [UnitMembers(Unit("u", (), "d"), ())]
    assert _record(people, trained_on=before, units=units).trained_on == before


def test_a_version_without_people_is_recorded_as_trained_on_the_manifest_that_their_erasure_leaves(
    people: Ledger,
) -> None:
    _record(people)
    before = people.dataset("people").manifest
    request = people.open_request("people", [PEOPLE[2]])
    units = _units(people)[:1]
    rebuilt = {"units": units, "parent": "sha256:v1", "without": request.subjects}
    version = _record(people, "sha256:v2", **rebuilt)
    # What the parent was trained on may be named of its child, though no manifest of the dataset has that digest.
    again = people.open_request("people", [PEOPLE[1]])
    child = {"units": units, "parent": "sha256:v2", "trained_on": version.trained_on, "without": again.subjects}
    assert _record(people, "sha256:v3", **child).trained_on not in (before, version.trained_on)
    with pytest.raises(InvalidParameter, match="no manifest"):
        _record(people, "sha256:v4", parent="sha256:v2", trained_on="sha256:0")
    people.entomb(request.id)
    assert _record(people, "sha256:v2", **rebuilt) == version  # as a step that is repeated
    erasure = people.finish_erasure(request.id, left=["authors"])
    assert version.trained_on == erasure.datasets["people"].after != before
