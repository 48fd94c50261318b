"""The two secrets of an operator: an ECDSA P-256 key signs certificates, an Ed25519 key signs the log.

They are never the same key: whoever may write the log must not thereby be able to write certificates. Both
are PKCS8 PEM files that only their owner can read.
"""

import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from expunge.core.durable import sync_folder
from expunge.core.errors import InvalidData, InvalidParameter, NotReady, UnsafeKeyFile

SigningKey = EllipticCurvePrivateKey
LogKey = Ed25519PrivateKey


def create_signing_key(path: Path) -> SigningKey:
    """Make the key that signs certificates and keep it at `path`, readable by its owner only.

    Raises: InvalidParameter, if the file exists; a key is never overwritten.
    """
    key = generate_private_key(SECP256R1())
    _write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def create_log_key(path: Path) -> LogKey:
    """Make the key that signs the log's checkpoints and keep it at `path`, readable by its owner only.

    Raises: InvalidParameter, if the file exists; a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    _write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def load_signing_key(path: Path) -> SigningKey:
    """The key that signs certificates.

    Raises: NotReady (no file), UnsafeKeyFile (others can read it), InvalidData (not a P-256 private key).
    """
    key = _load_private(path)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidData(f"{path} holds no ECDSA P-256 private key, which certificates are signed with")
    return key


def load_log_key(path: Path) -> LogKey:
    """The key that signs the log.

    Raises: NotReady (no file), UnsafeKeyFile (others can read it), InvalidData (not an Ed25519 private key).
    """
    key = _load_private(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidData(f"{path} holds no Ed25519 private key, which the log is signed with")
    return key


def public_pem(key: SigningKey | LogKey | EllipticCurvePublicKey | Ed25519PublicKey) -> str:
    """The public half as PEM: what an auditor is given, by another way than the certificate.

    >>> public_pem(generate_private_key(SECP256R1())).splitlines()[0]
    '-----BEGIN PUBLIC KEY-----'
    """
    public = key.public_key() if isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def read_public_pem(pem: str | bytes, what: str) -> EllipticCurvePublicKey:
    """The P-256 public key in `pem`.

    Raises: InvalidData, if there is none; `what` says where it was looked for.
    """
    try:
        key = load_pem_public_key(pem.encode("utf-8") if isinstance(pem, str) else pem)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise InvalidData(f"{what} is not a public key in PEM form; export one with `public_pem`") from e
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidData(f"{what} holds no ECDSA P-256 public key, which certificates are signed with")
    return key


def key_id(key: EllipticCurvePublicKey) -> str:
    """SHA-256, in hex, of the SubjectPublicKeyInfo in DER form: the signer's name in an envelope."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _write_secret(path: Path, pem: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as e:
        raise InvalidParameter(f"a file exists at {path} and keys are never overwritten; choose another path") from e
    try:
        with os.fdopen(file, "wb") as out:
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        sync_folder(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)  # half a key would block the next attempt
        raise


def _load_private(path: Path) -> object:
    try:
        file = path.open("rb")
    except FileNotFoundError as e:
        raise NotReady(f"no private key at {path}; create one first") from e
    with file:
        # Asked of the open file, not of its name: the name could point elsewhere a moment later.
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise UnsafeKeyFile(f"{path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`")
        pem = file.read()
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise InvalidData(f"{path} is not an unencrypted private key in PEM form") from e
