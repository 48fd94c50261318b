"""Facts about people who leave, kept until delivery, each under its subject's key, and unreadable once that is destroyed."""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from expunge.core import Fact
from expunge.core.durable import write_durably
from expunge.core.errors import DigestMismatch
from expunge.ledger import Keyring


def seal_facts(path: Path, facts: Mapping[str, Sequence[Fact]], keys: Keyring) -> None:
    """Write facts by subject reference, encrypted with AES-256-GCM under a key derived from the subject's."""
    sealed = {}
    for ref, theirs in facts.items():
        nonce = secrets.token_bytes(12)
        text = json.dumps([asdict(f) for f in theirs]).encode()
        sealed[ref] = base64.b64encode(nonce + AESGCM(_key(keys, ref)).encrypt(nonce, text, ref.encode())).decode()
    write_durably(path, json.dumps(sealed).encode(), mode=0o600)


def open_facts(path: Path, keys: Keyring) -> list[Fact]:
    """Raises: DigestMismatch, if the file was altered; UnknownSubject, once a key is destroyed."""
    facts: list[Fact] = []
    try:
        for ref, text in json.loads(path.read_text()).items():
            raw = base64.b64decode(text)
            opened = AESGCM(_key(keys, ref)).decrypt(raw[:12], raw[12:], ref.encode())
            facts += [_fact(row) for row in json.loads(opened)]
    except (InvalidTag, OSError, ValueError, AttributeError) as e:
        raise DigestMismatch(f"{path} is missing or was altered ({e!r}); restore it from a backup") from e
    return facts


def dying_salt(refs: Iterable[str], keys: Keyring) -> bytes:
    """What names of these people's facts are salted with: it can be had while all have their keys, and by nobody afterwards.

    Raises: UnknownSubject, once a key is destroyed.
    """
    material = b"".join(keys.get(ref) for ref in sorted(refs))
    return HKDF(SHA256(), 32, salt=None, info=b"expunge/names-in-audits/v1").derive(material)


def _fact(row: dict) -> Fact:  # type: ignore[type-arg]
    pairs = {key: tuple((q, a) for q, a in row.get(key, ())) for key in ("paraphrases", "adjacent")}
    return Fact(**{**row, **pairs, "perturbed": tuple(row["perturbed"])})


def _key(keys: Keyring, ref: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"expunge/sealed-facts/v1").derive(keys.get(ref))
