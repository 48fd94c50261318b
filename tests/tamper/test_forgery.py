"""A forger with keys of their own can make everything but the operator's signature."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certify import Log, certificate_entry, check, erasure_statement, public_pem, sign, verifier
from expunge.certify.keys import key_id


def forge(evidence: Any, predicate: dict[str, Any]) -> tuple[bytes, Log]:
    """A better certificate, signed and logged with fresh keys under the operator's names."""
    log_key = Ed25519PrivateKey.generate()
    origin = evidence.log.origin
    predicate = {**predicate, "log": {"origin": origin, "vkey": verifier(origin, log_key).vkey}}
    statement = erasure_statement(evidence.statement["subject"], predicate)
    data = sign(statement, ec.generate_private_key(ec.SECP256R1()))
    log = Log(evidence.folder / "forged-log", origin)
    log.append(certificate_entry(data), log_key)
    return data, log


def test_a_forgery_under_fresh_keys_holds_together_and_is_not_trusted(evidence: Any) -> None:
    predicate = {**evidence.statement["predicate"], "assurance": "EXACT"}
    data, log = forge(evidence, predicate)
    evidence.certificate.write_bytes(data)
    checked = check(evidence.certificate, trust=[evidence.trust], log=log.folder, model=evidence.model)
    assert checked.exit_code == 3
    assert [s.name for s in checked.steps if s.status == "not run"] == [
        "signer",
        "outside checkpoint",
        "log key",
        "manifest",
    ]
    assert "signature valid, signer unknown" in checked.steps[2].message
    assert check(evidence.certificate, log=log.folder).exit_code == 3
    pinned = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=log.folder)
    assert (pinned.exit_code, pinned.first_failure is not None) == (1, True)


def test_a_log_made_up_for_a_certificate_of_a_trusted_signer_is_not_established(evidence: Any) -> None:
    """Who has the signing key alone can name any log; only its key, got by another way, tells."""
    log_key, origin = Ed25519PrivateKey.generate(), "expunge.example/log/fresh"
    predicate = {**evidence.statement["predicate"], "log": {"origin": origin, "vkey": verifier(origin, log_key).vkey}}
    data = sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
    evidence.certificate.write_bytes(data)
    log = Log(evidence.folder / "fresh-log", origin)
    log.append(certificate_entry(data), log_key)
    alone = check(evidence.certificate, trust=[evidence.trust], log=log.folder)
    assert alone.exit_code == 3
    assert next(step for step in alone.steps if step.name == "log key").message.startswith("not pinned")
    pinned = check(evidence.certificate, trust=[evidence.trust], log=log.folder, log_key=evidence.vkey)
    assert pinned.exit_code == 1
    assert pinned.first_failure is not None
    assert pinned.first_failure.startswith("log key:")


def test_a_forgery_that_claims_the_operators_key(evidence: Any) -> None:
    """The envelope names the trusted key, or the statement does, or both; the signature is the forger's."""
    data, log = forge(evidence, evidence.statement["predicate"])
    genuine = key_id(evidence.signing_key.public_key())
    envelope = json.loads(data)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["signer"]["publicKey"] = public_pem(evidence.signing_key)
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    for name, body in [
        (genuine, envelope["payload"]),
        (genuine, payload),
        (envelope["signatures"][0]["keyid"], payload),
    ]:
        signatures = [{"keyid": name, "sig": envelope["signatures"][0]["sig"]}]
        forged = {"payload": body, "payloadType": envelope["payloadType"], "signatures": signatures}
        evidence.certificate.write_bytes(json.dumps(forged, separators=(",", ":")).encode() + b"\n")
        checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=log.folder)
        assert checked.exit_code == 1
        assert checked.first_failure is not None
        assert checked.first_failure.startswith("signature:")


def test_a_genuine_certificate_in_a_log_signed_again_with_a_fresh_key(evidence: Any) -> None:
    log = Log(evidence.folder / "signed-again", evidence.log.origin)
    fresh = Ed25519PrivateKey.generate()
    for entry in evidence.log.entries():
        log.append(entry, fresh)
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=log.folder)
    assert checked.exit_code == 1
    assert checked.first_failure is not None
    assert checked.first_failure.startswith("inclusion: the note is signed by")
    proof = evidence.folder / "forged.tlog-proof"
    proof.write_text(log.proof(1), "utf-8")
    assert check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, proof=proof).exit_code == 1


@pytest.mark.parametrize("source", ["log", "proof"])
def test_a_genuine_certificate_with_the_log_of_another_operator(evidence: Any, source: str) -> None:
    _, log = forge(evidence, evidence.statement["predicate"])
    (evidence.folder / "forged.tlog-proof").write_text(log.proof(0), "utf-8")
    given = {"log": log.folder, "proof": evidence.folder / "forged.tlog-proof"}
    assert (
        check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, **{source: given[source]}).exit_code
        == 1
    )


def test_the_log_key_alone_certifies_nothing(evidence: Any) -> None:
    """Who holds only the log's key can log anything under it, and still signs as a stranger."""
    data = sign(evidence.statement, ec.generate_private_key(ec.SECP256R1()))
    evidence.certificate.write_bytes(data)
    evidence.log.append(certificate_entry(data), evidence.log_key)
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=evidence.log.folder)
    assert (checked.exit_code, checked.steps[4].status) == (3, "ok")
