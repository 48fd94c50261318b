import copy
from typing import Any

import pytest

from expunge.certify.statement import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    erasure_statement,
    read_statement,
    validate,
)
from expunge.core.digests import canonical_json
from expunge.core.errors import InvalidCertificate

SUBJECT = {"name": "model:letters@2", "digest": {"sha256": "ab" * 32}}
PREDICATE: dict[str, Any] = {
    "certificateId": "c-1",
    "issuedAt": "2026-01-31T09:00:00Z",
    "tool": {"name": "expunge"},
    "request": {"ref": "r-1"},
    "actions": [],
    "assurance": "CLAIMED",
    "flags": ["INCONCLUSIVE"],
    "limits": "some",
}


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
