"""What a reader may conclude: 0 only if everything that was asked for was shown."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from expunge.certify import Log, certificate_entry, check, erasure_statement, open_envelope, public_pem, sign
from expunge.certify.keys import key_id
from expunge.core.digests import canonical_json, digest_table, sha256_file
from expunge.core.errors import InvalidData
from expunge.ledger.read_digest import read_digest

NAMES = [
    "envelope",
    "signature",
    "signer",
    "statement",
    "inclusion",
    "outside checkpoint",
    "log key",
    "model",
    "manifest",
]


def statuses(checked: Any) -> dict[str, str]:
    return {name: status for name, status, _ in checked.steps}


def test_everything_that_holds_passes(evidence: Any) -> None:
    checked = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        log=evidence.log.folder,
        proof=evidence.proof,
        checkpoint=evidence.late,
        model=evidence.model,
        manifest=evidence.manifest,
    )
    assert statuses(checked) == dict.fromkeys(NAMES, "ok")
    assert (checked.exit_code, checked.first_failure, checked.warnings) == (0, None, ())
    assert checked.statement["predicate"]["certificateId"].startswith("0190")


@pytest.mark.parametrize("source", ["log", "proof"])
def test_the_log_or_the_proof_alone_is_enough_with_a_warning(evidence: Any, source: str) -> None:
    paths = {"log": evidence.log.folder, "proof": evidence.proof}
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, **{source: paths[source]})
    assert checked.exit_code == 0
    assert "the operator could have rewritten this log" in checked.warnings[0]
    assert statuses(checked)["model"] == "not run"


def test_without_log_and_proof_nothing_is_concluded(evidence: Any) -> None:
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey)
    assert checked.exit_code == 3
    assert statuses(checked)["inclusion"] == "not run"
    assert statuses(checked)["outside checkpoint"] == "not run"


@pytest.mark.parametrize("known", [True, False])
def test_an_unknown_signer_is_said_to_be_unknown(evidence: Any, known: bool) -> None:
    stranger = evidence.folder / "stranger.pem"
    stranger.write_text(public_pem(ec.generate_private_key(ec.SECP256R1())))
    checked = check(evidence.certificate, trust=[stranger] if known else [], log=evidence.log.folder)
    step = next(step for step in checked.steps if step.name == "signer")
    assert step.message.startswith("signature valid, signer unknown")
    assert (checked.exit_code, checked.first_failure) == (3, None)


def test_one_of_several_trusted_keys_is_enough(evidence: Any) -> None:
    stranger = evidence.folder / "stranger.pem"
    stranger.write_text(public_pem(ec.generate_private_key(ec.SECP256R1())))
    trust = [stranger, evidence.trust]
    assert check(evidence.certificate, trust=trust, log_key=evidence.vkey, log=evidence.log.folder).exit_code == 0


def test_a_trusted_key_that_cannot_be_read_is_the_readers_mistake(evidence: Any) -> None:
    for content in (b"", b"\xff", evidence.certificate.read_bytes()):
        (evidence.folder / "bad.pem").write_bytes(content)
        with pytest.raises(InvalidData, match="bad"):
            check(evidence.certificate, trust=[evidence.folder / "bad.pem"])
    with pytest.raises(InvalidData, match="cannot read a trusted key"):
        check(evidence.certificate, trust=[evidence.folder / "none.pem"])


def test_later_steps_do_not_run_after_a_bad_signature(evidence: Any) -> None:
    envelope = json.loads(evidence.certificate.read_bytes())
    envelope["signatures"][0]["sig"] = "AAAA"
    evidence.certificate.write_bytes(json.dumps(envelope, separators=(",", ":")).encode() + b"\n")
    checked = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        log=evidence.log.folder,
        model=evidence.model,
    )
    assert checked.exit_code == 1
    assert checked.first_failure.startswith("signature: the signature does not match")
    assert checked.statement is None
    assert list(statuses(checked).values()) == ["ok", "failed", *["not run"] * 7]


def test_a_certificate_that_was_never_logged_fails(evidence: Any) -> None:
    predicate = {**evidence.statement["predicate"], "certificateId": "0190a5d2-0000-7000-8000-000000000002"}
    evidence.certificate.write_bytes(
        sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
    )
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=evidence.log.folder)
    assert checked.exit_code == 1
    assert "is in none of the log's 3 entries" in checked.first_failure
    by_proof = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, proof=evidence.proof)
    assert (by_proof.exit_code, "of another entry" in by_proof.first_failure) == (1, True)


def test_a_certificate_that_names_no_log_is_inconclusive(evidence: Any) -> None:
    predicate = {k: v for k, v in evidence.statement["predicate"].items() if k != "log"}
    evidence.certificate.write_bytes(
        sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
    )
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=evidence.log.folder)
    assert (checked.exit_code, statuses(checked)["inclusion"]) == (3, "not run")


def test_a_log_named_with_another_key_than_its_origin_fails(evidence: Any) -> None:
    for log in (
        {"origin": "other", "vkey": evidence.statement["predicate"]["log"]["vkey"]},
        {"origin": "x", "vkey": "x"},
    ):
        predicate = {**evidence.statement["predicate"], "log": log}
        evidence.certificate.write_bytes(
            sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
        )
        checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=evidence.log.folder)
        assert checked.exit_code == 1
        assert checked.first_failure.startswith("inclusion:")


def test_a_log_that_lost_entries_fails_against_a_checkpoint_kept_outside(evidence: Any) -> None:
    late = evidence.folder / "late"
    evidence.log.append({"type": "expunge/state/v1", "ref": "r-2"}, evidence.log_key)
    late.write_text(evidence.log.checkpoint(), "utf-8")
    shorter = Log(evidence.folder / "shorter", evidence.log.origin)
    for entry in evidence.log.entries()[:3]:
        shorter.append(entry, evidence.log_key)
    checked = check(
        evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=shorter.folder, checkpoint=late
    )
    assert checked.exit_code == 1
    assert "outside checkpoint: the outside checkpoint covers 4 entries, the log holds 3" in checked.first_failure


def test_a_rewritten_log_passes_alone_and_fails_against_a_checkpoint_kept_outside(evidence: Any) -> None:
    """The control: this is what the warning is about."""
    rewritten = Log(evidence.folder / "rewritten", evidence.log.origin)
    rewritten.append({"type": "expunge/request/v1", "ref": "another story"}, evidence.log_key)
    rewritten.append(certificate_entry(evidence.certificate.read_bytes()), evidence.log_key)
    alone = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=rewritten.folder)
    assert (alone.exit_code, len(alone.warnings)) == (0, 1)
    checked = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        log=rewritten.folder,
        checkpoint=evidence.early,
    )
    assert checked.exit_code == 1
    assert "entries that this log does not begin with" in checked.first_failure
    with_proof = check(
        evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=rewritten.folder, proof=evidence.proof
    )
    assert (with_proof.exit_code, "the proof covers" in with_proof.first_failure) == (1, True)


def test_a_proof_cannot_be_compared_with_a_checkpoint_of_another_size(evidence: Any) -> None:
    checked = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        proof=evidence.proof,
        checkpoint=evidence.early,
    )
    assert (checked.exit_code, statuses(checked)["outside checkpoint"]) == (3, "not run")
    assert "only the log can tell" in next(s.message for s in checked.steps if s.name == "outside checkpoint")
    assert checked.warnings
    evidence.early.write_text(evidence.log.checkpoint(), "utf-8")
    same = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        proof=evidence.proof,
        checkpoint=evidence.early,
    )
    assert (same.exit_code, same.warnings) == (0, ())


@pytest.mark.parametrize("what", ["model", "manifest"])
def test_another_model_or_manifest_fails_and_a_missing_one_too(evidence: Any, what: str) -> None:
    base: dict[str, Any] = {"trust": [evidence.trust], "log_key": evidence.vkey, "log": evidence.log.folder}
    path = getattr(evidence, what)
    assert check(evidence.certificate, **base, **{what: path}).exit_code == 0
    file = path / "sub" / "weights.bin" if what == "model" else path
    file.write_bytes(file.read_bytes() + b"x")
    checked = check(evidence.certificate, **base, **{what: path})
    assert (checked.exit_code, f"it is another {what}" in checked.first_failure) == (1, True)
    assert check(evidence.certificate, **base, **{what: Path("nowhere")}).exit_code == 1


def test_a_model_that_the_certificate_does_not_name_is_inconclusive(evidence: Any) -> None:
    subjects = [s for s in evidence.statement["subject"] if not s["name"].startswith("model:")]
    data = sign(erasure_statement(subjects, evidence.statement["predicate"]), evidence.signing_key)
    evidence.certificate.write_bytes(data)
    evidence.log.append(certificate_entry(data), evidence.log_key)
    checked = check(
        evidence.certificate,
        trust=[evidence.trust],
        log_key=evidence.vkey,
        log=evidence.log.folder,
        model=evidence.model,
    )
    assert (checked.exit_code, statuses(checked)["model"]) == (3, "not run")


def test_missing_files_fail_and_do_not_raise(evidence: Any) -> None:
    nowhere = evidence.folder / "nowhere"
    assert check(nowhere, trust=[evidence.trust], log_key=evidence.vkey).first_failure.startswith(
        "envelope: cannot read"
    )
    for name in ("log", "proof"):
        assert (
            check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, **{name: nowhere}).exit_code == 1
        )
    base: dict[str, Any] = {"trust": [evidence.trust], "log_key": evidence.vkey, "log": evidence.log.folder}
    assert check(evidence.certificate, **base, checkpoint=nowhere).exit_code == 1


def test_the_json_says_the_same(evidence: Any) -> None:
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey)
    said = json.loads(json.dumps(checked.to_json()))
    assert (said["exit_code"], said["verdict"], said["first_failure"]) == (3, "inconclusive", None)
    assert [step["name"] for step in said["steps"]] == NAMES
    assert said["statement"] == checked.statement


def test_a_hostile_certificate_is_refused_and_never_raises(evidence: Any) -> None:
    """What a stranger can sign: statements of every wrong type, and one nested as deep as a parser goes."""
    key = evidence.signing_key
    genuine = open_envelope(evidence.certificate.read_bytes(), []).statement
    deep = json.loads("[" * 400 + "]" * 400)
    for value in (None, True, 7, "x", [], [None], {}, {"a": deep}, deep):
        for field in ("_type", "subject", "predicateType"):
            hostile = {**genuine, field: value}
            evidence.certificate.write_bytes(signed_unvalidated(hostile, key))
            assert check(evidence.certificate, log=evidence.log.folder).exit_code == 1
        for field in genuine["predicate"]:
            hostile = {**genuine, "predicate": {**genuine["predicate"], field: value}}
            evidence.certificate.write_bytes(signed_unvalidated(hostile, key))
            assert check(evidence.certificate, log=evidence.log.folder).exit_code in (1, 3)


def signed_unvalidated(statement: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    body, kind = canonical_json(statement), "application/vnd.in-toto+json"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    signature = base64.b64encode(key.sign(pae, ec.ECDSA(SHA256()))).decode()
    signatures = [{"keyid": key_id(key.public_key()), "sig": signature}]
    payload = base64.b64encode(body).decode()
    return canonical_json({"payload": payload, "payloadType": kind, "signatures": signatures}) + b"\n"


def test_a_checkpoint_kept_outside_that_does_not_cover_the_entry_says_nothing_of_it(evidence: Any) -> None:
    """It could have been rewritten since: the warning stands, and nothing is established."""
    given: dict[str, Any] = {"trust": [evidence.trust], "log": evidence.log.folder}
    checked = check(evidence.certificate, checkpoint=evidence.early, **given)
    step = next(step for step in checked.steps if step.name == "outside checkpoint")
    assert (checked.exit_code, step.status) == (3, "not run")
    assert "covers 1 entries and not this one, entry 1" in step.message
    assert "the operator could have rewritten this log" in checked.warnings[0]
    covered = check(evidence.certificate, checkpoint=evidence.late, **given)
    assert (covered.exit_code, covered.warnings) == (0, ())


def test_a_log_key_is_pinned_by_name_or_by_a_checkpoint_kept_outside(evidence: Any) -> None:
    given: dict[str, Any] = {"trust": [evidence.trust], "log": evidence.log.folder}
    assert check(evidence.certificate, **given).exit_code == 3
    assert check(evidence.certificate, **given, log_key=evidence.vkey + "\n").exit_code == 0
    with pytest.raises(InvalidData, match="cannot be a log's key"):
        check(evidence.certificate, **given, log_key="mine")


def test_what_must_not_be_missed_is_said_in_sentences(evidence: Any) -> None:
    predicate = {
        **evidence.statement["predicate"],
        "assurance": "SUPPRESSED",
        "flags": ["HIDDEN"],
        "delivery": {"override": ["HIDDEN"], "unreachable": ["s3://old/copy"], "purged": []},
        "targets": [
            {"target": "model:a", "decision": "do", "result": "done"},
            {"target": "dataset:d", "decision": "do", "result": "nothing held"},
            {"target": "model:b", "decision": "refused", "result": "left", "reason": "bought"},
        ],
        "actions": [{"target": "model:a", "notes": ["not dealt with, though they learned: c", "cheap"]}],
        "unknown": ["training data"],
        "superseded": ["model:a"],
        "events": {"since": "2026-01-01T00:00:00Z"},
    }
    evidence.certificate.write_bytes(
        sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
    )
    said = check(evidence.certificate, trust=[evidence.trust]).said
    for words in (
        "flag HIDDEN: Plain questions find little",
        "with override HIDDEN",
        "not dealt with: model:b, refused, left (bought)",
        "not dealt with, though they learned: c",
        "not reached: s3://old/copy",
        "unknown: training data",
        "superseded since by a later delivery: model:a",
        "chained since 2026-01-01",
    ):
        assert any(words in sentence for sentence in said), words
    assert not any(words in sentence for words in ("model:a, do", "dataset:d", "cheap") for sentence in said)


@pytest.mark.parametrize("what", ["certificate", "proof", "checkpoint", "trust"])
def test_a_file_larger_than_any_certificate_is_refused_before_it_is_read_whole(evidence: Any, what: str) -> None:
    huge = evidence.folder / "huge"
    with huge.open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    paths: dict[str, Any] = {"certificate": evidence.certificate, "proof": evidence.proof, "log": evidence.log.folder}
    if what == "trust":
        with pytest.raises(InvalidData, match="longer than"):
            check(evidence.certificate, trust=[huge])
        return
    checked = check(**(paths | {what: huge}), trust=[evidence.trust], log_key=evidence.vkey)
    assert (checked.exit_code, "is longer than 16777216 bytes" in str(checked.first_failure)) == (1, True)


def test_a_manifest_written_with_other_bytes_is_compared_by_its_records(evidence: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"commitment": [b"a", b"b"], "subject": ["x", "y"]})
    pq.write_table(table, evidence.manifest, compression="zstd")
    content = digest_table({name: table.column(name).to_pylist() for name in table.column_names})
    subjects = [
        {"name": "manifest:letters", "digest": {"sha256": sha256_file(evidence.manifest)}},
        {"name": "manifest-content:letters", "digest": {"sha256": content.removeprefix("sha256:")}},
    ]
    evidence.certificate.write_bytes(
        sign(erasure_statement(subjects, evidence.statement["predicate"]), evidence.signing_key)
    )

    def compared() -> tuple[str, str]:
        checked = check(evidence.certificate, manifest=evidence.manifest, content=read_digest)
        return next((s.status, s.message) for s in checked.steps if s.name == "manifest")

    assert compared()[1].endswith("byte for byte")
    pq.write_table(table, evidence.manifest, compression="none")
    status, message = compared()
    assert "it is another manifest" in str(check(evidence.certificate, manifest=evidence.manifest).first_failure)
    assert (status, "the same records in the same order, though written with other bytes" in message) == ("ok", True)
    pq.write_table(table.slice(1), evidence.manifest)
    assert compared()[0] == "failed"
