import copy
from typing import Any

import pytest

from expunge.certify.statement import (
    PREDICATE_TYPE,
    PREDICATE_TYPE_V1,
    STATEMENT_TYPE,
    erasure_statement,
    read_statement,
    validate,
)
from expunge.core.digests import canonical_json
from expunge.core.errors import InvalidCertificate

SUBJECT = {"name": "model:letters@2", "digest": {"sha256": "ab" * 32}}
PREDICATE: dict[str, Any] = {
    "certificateId": "0190a5d2-0000-7000-8000-000000000001",
    "issuedAt": "2026-01-31T09:00:00Z",
    "tool": {"name": "expunge"},
    "request": {"ref": "r-1"},
    "actions": [],
    "assurance": "CLAIMED",
    "flags": ["INCONCLUSIVE"],
    "limits": "some",
    "verification": [],
    "replay": None,
    "delivery": {},
    "manifest": {},
    "unknown": [],
}
SHOWN = {"actions": [{}], "verification": [{}], "delivery": {"purged": []}, "manifest": {"after": "x"}, "flags": []}
EXACT = {**SHOWN, "assurance": "EXACT", "replay": True}


def test_the_statement_is_in_totos() -> None:
    statement = erasure_statement([SUBJECT], PREDICATE)
    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert read_statement(canonical_json(statement)) == statement


def test_unknown_fields_are_ignored() -> None:
    statement = erasure_statement([{**SUBJECT, "uri": "x"}], {**PREDICATE, "added in v1.1": [1]})
    validate({**statement, "more": 1})


@pytest.mark.parametrize("key", sorted(PREDICATE))
def test_every_required_key_is_missed_by_name(key: str) -> None:
    predicate = {k: v for k, v in PREDICATE.items() if k != key}
    with pytest.raises(InvalidCertificate, match=f"the predicate has no '{key}'"):
        erasure_statement([SUBJECT], predicate)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"certificateId": ""}, "non-empty string"),
        ({"limits": ""}, "non-empty string"),
        ({"actions": {}}, "must be a list"),
        ({"issuedAt": "2026-01-31T09:00:00"}, "in UTC"),
        ({"issuedAt": "2026-01-31T09:00:00+01:00"}, "in UTC"),
        ({"issuedAt": "2026-01-31"}, "in UTC"),
        ({"issuedAt": "yesterday"}, "in UTC"),
        ({"assurance": "PERFECT"}, "unknown assurance 'PERFECT'"),
        ({"flags": ["FINE"]}, "unknown flag 'FINE'"),
        ({"flags": [["HIDDEN"]]}, "unknown flag"),
        ({"log": {"origin": "x"}}, "'origin' and 'vkey'"),
        ({"log": "x"}, "'origin' and 'vkey'"),
        ({"log": {"origin": "a log", "vkey": "x"}}, "no white space"),
        ({"certificateId": "c-1"}, "must be a UUID"),
        ({"certificateId": "\x1b[2K0190a5d2-0000-7000-8000-000000000001"}, "must be a UUID"),
        ({"replay": "yes"}, "true, false, or null"),
        ({"issuedAt": "20260131T090000Z"}, "in UTC"),
        ({"issuedAt": "2026-W05-6T09:00:00Z"}, "in UTC"),
    ],
)
def test_malformed_values_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidCertificate, match=reason):
        erasure_statement([SUBJECT], {**PREDICATE, **change})


@pytest.mark.parametrize(
    "subjects, reason",
    [
        ([], "at least one"),
        ([{"digest": {"sha256": "ab" * 32}}], "no name"),
        ([{"name": "m", "digest": {"sha256": "AB" * 32}}], "64 lower-case"),
        ([{"name": "m", "digest": {"sha256": "ab" * 32 + "\n"}}], "64 lower-case"),
        ([{"name": "m"}], "64 lower-case"),
        ([SUBJECT, SUBJECT], "named twice"),
    ],
)
def test_subjects_need_a_name_and_a_digest(subjects: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(InvalidCertificate, match=reason):
        erasure_statement(subjects, PREDICATE)


def test_another_kind_of_attestation_is_not_read() -> None:
    statement = copy.deepcopy(erasure_statement([SUBJECT], PREDICATE))
    statement["predicateType"] = "https://slsa.dev/provenance/v1"
    with pytest.raises(InvalidCertificate, match="another kind of attestation"):
        validate(statement)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"flags": ["HIDDEN"]}, "EXACT beside the flag HIDDEN"),
        ({"flags": ["RETAINED"]}, "EXACT beside the flag RETAINED"),
        ({"flags": ["TAINTED"]}, "EXACT beside the flag TAINTED"),
        ({"assurance": "RESISTS_WHITE_BOX", "flags": ["HIDDEN"]}, "allows SUPPRESSED at most"),
        ({"assurance": "SUPPRESSED", "flags": ["EXPIRED"]}, "allows CLAIMED at most"),
        ({"replay": False}, "without a replay that matched"),
        ({"replay": None}, "without a replay that matched"),
        ({"actions": []}, "without any action"),
        ({"verification": []}, "nothing under 'verification'"),
        ({"delivery": {}}, "nothing under 'delivery'"),
        ({"manifest": {}}, "nothing under 'manifest'"),
    ],
)
def test_a_level_that_the_rest_denies_is_refused(change: dict[str, Any], reason: str) -> None:
    erasure_statement([SUBJECT], {**PREDICATE, **EXACT})
    with pytest.raises(InvalidCertificate, match=f"contradicts itself.*{reason}"):
        erasure_statement([SUBJECT], {**PREDICATE, **EXACT, **change})


@pytest.mark.parametrize("change", [{"replay": False}, {"flags": ["HIDDEN"]}, {"actions": []}])
def test_the_first_form_may_leave_parts_out_and_contradict_itself_no_more_than_the_second(change: Any) -> None:
    old = {
        k: v for k, v in {**PREDICATE, **EXACT}.items() if k not in ("verification", "delivery", "manifest", "unknown")
    }
    statement = erasure_statement([SUBJECT], {**PREDICATE, **EXACT}) | {"predicateType": PREDICATE_TYPE_V1}
    validate(statement | {"predicate": old})
    with pytest.raises(InvalidCertificate, match="contradicts itself"):
        validate(statement | {"predicate": old | change})


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"issuedAt": "2016-01-31T09:00:00Z"}, "issuedAt, 2016-01-31T09:00:00Z, is before times.delivered"),
        (
            {"request": {"ref": "r-1", "received": "2026-01-30T12:00:01Z"}},
            "times.forgotten, .*, is before request.received",
        ),
        ({"times": {"verified": "2026-01-30T15:00:00Z", "delivered": "2026-01-30T14:00:00Z"}}, "times.delivered"),
        ({"times": {"verified": 7}}, "times.verified must be an RFC 3339 time"),
        ({"times": []}, "must be an object"),
    ],
)
def test_times_in_another_order_than_that_of_events_are_refused(change: dict[str, Any], reason: str) -> None:
    times = {
        "forgotten": "2026-01-30T12:00:00Z",
        "verified": "2026-01-30T13:00:00Z",
        "delivered": "2026-01-30T14:00:00Z",
    }
    right = {**PREDICATE, "request": {"ref": "r-1", "received": "2026-01-30T12:00:00Z"}, "times": times}
    erasure_statement([SUBJECT], right)
    with pytest.raises(InvalidCertificate, match=reason):
        erasure_statement([SUBJECT], {**right, **change})
