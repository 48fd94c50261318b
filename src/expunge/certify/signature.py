"""Who says so: a DSSE envelope around the statement, signed with ECDSA P-256.

Source: https://github.com/secure-systems-lab/dsse, protocol v1.0. What is signed is the payload's bytes and
type, so nothing has to be parsed before the signature is checked but the signer's public key, which rides
in the predicate (`signer.publicKey`). A certificate thereby proves that it was not altered; *whose* it is,
only a key that the reader got elsewhere can tell.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError

# Public by its documentation, though not listed for type checkers.
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey  # type: ignore[attr-defined]

from expunge.certify.keys import SigningKey, key_id, public_pem, read_public_pem
from expunge.certify.statement import Statement, read_statement, validate
from expunge.certify.strict import read_base64, read_json, write_base64
from expunge.core.digests import canonical_json
from expunge.core.errors import InvalidCertificate, InvalidData

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signed:
    """An envelope that was taken apart, and nothing of it believed yet."""

    payload: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Opened:
    """A statement whose signature holds. `trusted`: the signer's key is one that the reader trusts."""

    statement: Statement
    key_id: str
    trusted: bool


def sign(statement: Statement, key: SigningKey) -> bytes:
    """The certificate file: canonical JSON of a DSSE envelope, and a newline.

    Adds the signer's public key to the predicate. The same statement gives the same payload; ECDSA signatures
    differ from one signing to the next, so sign once and keep the file.

    Raises: InvalidCertificate, if the statement is malformed or names another signer.
    """
    signed = copy.deepcopy(statement)
    validate(signed)
    signer = signed["predicate"].setdefault("signer", {"publicKey": public_pem(key)})
    if not isinstance(signer, dict) or signer.get("publicKey") != public_pem(key):
        raise InvalidCertificate("the predicate names another signer than the key that signs; leave 'signer' out")
    envelope = Envelope(canonical_json(signed), PAYLOAD_TYPE, {})
    name = key_id(key.public_key())
    made = envelope.sign(CryptoSigner(key, SSlibKey.from_crypto(key.public_key(), keyid=name)))
    return _render(Signed(envelope.payload, name, bytes.fromhex(made.signature)))


def open_envelope(data: bytes, trusted_pems: Iterable[str]) -> Opened:
    """Check the signature, then the form of the statement.

    Raises: InvalidCertificate, if either fails. An unknown signer is no error: see `Opened.trusted`.
    """
    signed = read_envelope(data)
    verify_signature(signed)
    return Opened(read_statement(signed.payload), signed.key_id, is_trusted(signed, trusted_pems))


def read_envelope(data: bytes) -> Signed:
    """Take a certificate file apart; only the exact bytes that `sign` writes are accepted.

    Raises: InvalidCertificate, if it is no DSSE envelope of an in-toto statement with one signature, or is
    spelled in another way (white space, base64, line ends).
    """
    value = read_json(data, "the certificate")
    if not isinstance(value, dict) or not isinstance(value.get("payload"), str):
        raise InvalidCertificate("the certificate is not a DSSE envelope: it has no 'payload'")
    if (found := value.get("payloadType")) != PAYLOAD_TYPE:
        raise InvalidCertificate(f"the certificate's payloadType is {found!r}, needed {PAYLOAD_TYPE!r}")
    match value.get("signatures"):
        case [{"keyid": str(name), "sig": str(sig)}]:
            pass
        case _:
            raise InvalidCertificate("the certificate must carry one signature with 'keyid' and 'sig'")
    payload = read_base64(value["payload"], "the certificate's payload")
    signed = Signed(payload, name, read_base64(sig, "the certificate's signature"))
    if _render(signed) != data:
        raise InvalidCertificate("the certificate is not in canonical form: white space, order or fields differ")
    return signed


def verify_signature(signed: Signed) -> None:
    """Check the signature with the public key that the statement carries.

    Raises: InvalidCertificate, if it does not hold or the key's name differs from the envelope's.
    """
    public = _signer_key(signed.payload)
    if (name := key_id(public)) != signed.key_id:
        raise InvalidCertificate(f"the envelope is signed as {signed.key_id}, the statement names signer {name}")
    envelope = Envelope(signed.payload, PAYLOAD_TYPE, {name: Signature(name, signed.signature.hex())})
    try:
        envelope.verify([SSlibKey.from_crypto(public, keyid=name)], threshold=1)
    except VerificationError as e:
        raise InvalidCertificate("the signature does not match the statement; one of them was altered") from e


def is_trusted(signed: Signed, trusted_pems: Iterable[str]) -> bool:
    """Whether the envelope names one of these keys. Means something only after `verify_signature`.

    Raises: InvalidData, if a trusted key is not a P-256 public key.
    """
    trusted = {key_id(read_public_pem(pem, "the trusted key")) for pem in trusted_pems}
    return signed.key_id in trusted


def _signer_key(payload: bytes) -> EllipticCurvePublicKey:
    match read_json(payload, "the statement"):
        case {"predicate": {"signer": {"publicKey": str(pem)}}}:
            pass
        case _:
            raise InvalidCertificate("the statement carries no signer.publicKey, so its signature cannot be checked")
    try:
        return read_public_pem(pem, "the statement's signer.publicKey")
    except InvalidData as e:
        raise InvalidCertificate(str(e)) from e


def _render(signed: Signed) -> bytes:
    envelope: dict[str, Any] = {
        "payload": write_base64(signed.payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": signed.key_id, "sig": write_base64(signed.signature)}],
    }
    return canonical_json(envelope) + b"\n"
