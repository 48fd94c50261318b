import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from expunge.certify.keys import public_pem
from expunge.certify.signature import open_envelope, sign
from expunge.core.errors import InvalidCertificate


def test_a_signed_statement_opens_for_who_trusts_the_signer(evidence: Any) -> None:
    opened = open_envelope(evidence.certificate.read_bytes(), [evidence.trust.read_text()])
    assert opened.trusted
    assert opened.statement["subject"] == evidence.statement["subject"]
    assert opened.statement["predicate"].items() >= evidence.statement["predicate"].items()


def test_an_unknown_signer_is_reported_and_not_refused(evidence: Any) -> None:
    stranger = public_pem(ec.generate_private_key(ec.SECP256R1()))
    assert not open_envelope(evidence.certificate.read_bytes(), [stranger]).trusted
    assert not open_envelope(evidence.certificate.read_bytes(), []).trusted


def test_it_verifies_without_our_code(evidence: Any) -> None:
    """DSSE's pre-authentication encoding by hand, and nothing but `cryptography`."""
    envelope = json.loads(evidence.certificate.read_bytes())
    body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    public = load_pem_public_key(evidence.trust.read_bytes())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    public.verify(signature, pae, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signature, pae + b" ", ec.ECDSA(SHA256()))
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert envelope["signatures"][0]["keyid"] == hashlib.sha256(der).hexdigest()


def test_the_same_statement_gives_the_same_payload(evidence: Any) -> None:
    payloads = {json.loads(sign(evidence.statement, evidence.signing_key))["payload"] for _ in range(2)}
    assert len(payloads) == 1
    assert "signer" not in evidence.statement["predicate"], "signing must not change the caller's statement"


def test_a_statement_is_not_signed_in_another_signers_name(evidence: Any) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    predicate = {**evidence.statement["predicate"], "signer": {"publicKey": public_pem(other)}}
    with pytest.raises(InvalidCertificate, match="names another signer"):
        sign({**evidence.statement, "predicate": predicate}, evidence.signing_key)


def altered(data: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(data), **fields}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_altered_envelopes_are_refused_for_the_stated_reason(evidence: Any) -> None:
    data = evidence.certificate.read_bytes()
    envelope = json.loads(data)
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"]["assurance"] = "CERTIFIED"
    changed = base64.b64encode(json.dumps(payload).encode()).decode()
    assert altered(data) == data
    cases = {
        "signature does not match": altered(data, payload=changed),
        "payloadType is": altered(data, payloadType="text/plain"),
        "one signature": altered(data, signatures=envelope["signatures"] * 2),
        "must carry one": altered(data, signatures=[]),
        "canonical form": altered(data, note="unsigned"),
        "canonical form: white": data.replace(b"\n", b"\r\n"),
        "canonical form: white space": data + b"\n",
        "is signed as": data.replace(envelope["signatures"][0]["keyid"].encode(), b"0" * 64),
        "canonical base64": altered(data, payload=spelled_otherwise(envelope["payload"])),
        "no signer.publicKey": altered(data, payload=base64.b64encode(b'{"predicate":{}}').decode()),
        "not a DSSE envelope": b"[]",
        "not readable JSON": data[:-20],
    }
    for reason, case in cases.items():
        with pytest.raises(InvalidCertificate, match=reason):
            open_envelope(case, [])


def spelled_otherwise(text: str) -> str:
    """The same bytes in a base64 that a lenient decoder accepts; pads the JSON so that spare bits exist."""
    body = base64.b64decode(text)
    while len(body) % 3 != 1:
        body += b" "
    canonical = base64.b64encode(body).decode()
    spare = canonical[:-3] + chr(ord(canonical[-3]) + 1) + "=="
    assert base64.b64decode(spare) == body
    return spare
