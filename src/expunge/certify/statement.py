"""What a certificate says: an in-toto Statement v1 with a predicate of our own type.

Source: https://github.com/in-toto/attestation, spec v1. Subjects are matched by digest only; fields that a
reader does not know are ignored, so that later versions can add some. Two forms are read: v2, which is written,
must say how the result was verified, replayed and delivered; v1, of release 0.1, need not.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from expunge.certify.contradictions import contradiction
from expunge.certify.note import is_name
from expunge.certify.strict import read_json
from expunge.certify.times import check_times
from expunge.core.assurance import Assurance, Flag
from expunge.core.errors import InvalidCertificate

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://expunge.example/erasure/v2"
PREDICATE_TYPE_V1 = "https://expunge.example/erasure/v1"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REQUIRED: dict[str, Any] = {
    "certificateId": str,
    "issuedAt": str,
    "tool": dict,
    "request": dict,
    "actions": list,
    "assurance": str,
    "flags": list,
    "limits": str,
}
_REQUIRED_V2 = {"verification": list, "replay": bool | None, "delivery": dict, "manifest": dict, "unknown": list}

Statement = dict[str, Any]


def erasure_statement(subjects: Sequence[Mapping[str, Any]], predicate: Mapping[str, Any]) -> Statement:
    """The statement that `predicate` holds for the artifacts named by `subjects`.

    A subject is `{"name": "model:…", "digest": {"sha256": hex}}`. The predicate needs `certificateId` (a UUID),
    `issuedAt` (RFC 3339, UTC), `tool`, `request`, `actions`, `assurance` (the name of a level), `flags`, `limits`,
    `verification`, `replay` (true, false or null: there was none), `delivery`, `manifest` and `unknown`; to be checked
    against a log it needs `log` = `{"origin", "vkey"}`. `signer` is added when it is signed.

    Raises: InvalidCertificate, naming the first field that is missing or malformed.
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [dict(subject) for subject in subjects],
        "predicateType": PREDICATE_TYPE,
        "predicate": dict(predicate),
    }
    validate(statement)
    return statement


def read_statement(payload: bytes) -> Statement:
    """Parse and validate the payload of a certificate."""
    statement = read_json(payload, "the statement")
    validate(statement)
    return dict(statement)


def validate(statement: Any) -> None:
    """Raises: InvalidCertificate, naming the first field that is missing or malformed, or the first contradiction.

    >>> validate({"_type": "https://in-toto.io/Statement/v0.1"})
    Traceback (most recent call last):
    expunge.core.errors.InvalidCertificate: the statement's _type is 'https://in-toto.io/Statement/v0.1', ...
    """
    if not isinstance(statement, dict):
        raise InvalidCertificate("the statement is not a JSON object")
    if (found := statement.get("_type")) != STATEMENT_TYPE:
        raise InvalidCertificate(f"the statement's _type is {found!r}, needed {STATEMENT_TYPE!r}")
    if (found := statement.get("predicateType")) not in (PREDICATE_TYPE, PREDICATE_TYPE_V1):
        raise InvalidCertificate(
            f"the predicateType is {found!r}, this version reads {PREDICATE_TYPE!r}; "
            "it is another kind of attestation, or needs a newer version"
        )
    _validate_subjects(statement.get("subject"))
    _validate_predicate(statement.get("predicate"), whole=found == PREDICATE_TYPE)


def _validate_subjects(subjects: Any) -> None:
    if not isinstance(subjects, list) or not subjects:
        raise InvalidCertificate("the statement's subject must be a list of at least one artifact")
    names = set()
    for subject in subjects:
        name = subject.get("name") if isinstance(subject, dict) else None
        if not isinstance(name, str) or not name:
            raise InvalidCertificate(f"a subject has no name: {subject!r}")
        digest = subject.get("digest")
        sha256 = digest.get("sha256") if isinstance(digest, dict) else None
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InvalidCertificate(
                f"subject {name!r} needs digest.sha256 of 64 lower-case hex digits, got {sha256!r}"
            )
        if name in names:
            raise InvalidCertificate(f"subject {name!r} is named twice; which digest holds would be open")
        names.add(name)


def _validate_predicate(predicate: Any, *, whole: bool) -> None:
    if not isinstance(predicate, dict):
        raise InvalidCertificate("the statement's predicate is not a JSON object")
    required = _REQUIRED | (_REQUIRED_V2 if whole else {})
    for key, kind in required.items():
        if key not in predicate:
            raise InvalidCertificate(f"the predicate has no {key!r}; required are {', '.join(required)}")
        if not isinstance(predicate[key], kind) or (kind is str and not predicate[key]):
            raise InvalidCertificate(f"the predicate's {key!r} must be {_JSON_NAMES[kind]}")
    if not _is_uuid(predicate["certificateId"]):
        raise InvalidCertificate(f"the predicate's 'certificateId' must be a UUID, got {predicate['certificateId']!r}")
    check_times(predicate)
    if (level := predicate["assurance"]) not in Assurance.__members__:
        raise InvalidCertificate(f"unknown assurance {level!r}; levels are {', '.join(Assurance.__members__)}")
    if unknown := [flag for flag in predicate["flags"] if flag not in list(Flag)]:
        raise InvalidCertificate(f"unknown flag {unknown[0]!r}; flags are {', '.join(Flag)}")
    if "log" in predicate:
        log = predicate["log"]
        if not isinstance(log, dict) or not all(isinstance(log.get(key), str) for key in ("origin", "vkey")):
            raise InvalidCertificate("the predicate's 'log' must hold the strings 'origin' and 'vkey'")
        if not is_name(log["origin"]):
            raise InvalidCertificate(
                f"the log's origin must have no white space and no plus sign, got {log['origin']!r}"
            )
    if found := contradiction(predicate, whole=whole):
        raise InvalidCertificate(f"the statement contradicts itself: {found}")


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


_JSON_NAMES: dict[Any, str] = {
    str: "a non-empty string",
    dict: "an object",
    list: "a list",
    bool | None: "true, false, or null where there was none",
}
