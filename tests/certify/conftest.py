"""A certificate about two small files, logged between other entries; keys are made afresh."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from expunge.certify import (
    LIMITS,
    Log,
    certificate_entry,
    create_log_key,
    create_signing_key,
    erasure_statement,
    public_pem,
    sign,
    verifier,
)
from expunge.certify.keys import LogKey, SigningKey
from expunge.core.digests import digest_folder, sha256_file

ORIGIN = "expunge.example/log/test"


@dataclass
class Evidence:
    """What an operator has (keys, log) and hands out (the rest)."""

    folder: Path
    signing_key: SigningKey
    log_key: LogKey
    statement: dict[str, Any]
    log: Log
    certificate: Path
    trust: Path
    proof: Path
    model: Path
    manifest: Path
    early: Path  # a checkpoint from before the certificate
    late: Path  # one that covers it

    @property
    def vkey(self) -> str:
        return verifier(self.log.origin, self.log_key).vkey


def predicate(log_key: LogKey, origin: str = ORIGIN) -> dict[str, Any]:
    return {
        "certificateId": "0190a5d2-0000-7000-8000-000000000001",
        "issuedAt": "2026-01-31T09:00:00Z",
        "tool": {"name": "expunge", "version": "0.1.0"},
        "request": {"ref": "r-1"},
        "actions": [{"target": "model:letters", "class": "exact-retrain-shard", "shards": [5]}],
        "assurance": "EXACT",
        "flags": [],
        "limits": LIMITS,
        "verification": [{"battery": "standard"}],
        "replay": True,
        "delivery": {"override": None, "purged": ["version sha256:00"], "unreachable": []},
        "manifest": {"before": "sha256:00", "after": "sha256:11"},
        "unknown": [],
        "log": {"origin": origin, "vkey": verifier(origin, log_key).vkey},
    }


def issue(folder: Path) -> Evidence:
    signing_key = create_signing_key(folder / "keys" / "signing.pem")
    log_key = create_log_key(folder / "keys" / "log.pem")
    model, manifest = folder / "model", folder / "manifest.parquet"
    (model / "sub").mkdir(parents=True)
    (model / "config.json").write_bytes(b'{"layers": 1}')
    (model / "sub" / "weights.bin").write_bytes(bytes(range(64)))
    manifest.write_bytes(b"three records")
    subjects = [
        {"name": "model:letters@2", "digest": {"sha256": digest_folder(model).removeprefix("sha256:")}},
        {"name": "manifest:letters@2", "digest": {"sha256": sha256_file(manifest)}},
    ]
    statement = erasure_statement(subjects, predicate(log_key))
    data = sign(statement, signing_key)
    log = Log(folder / "log", ORIGIN)
    log.append({"type": "expunge/request/v1", "ref": "r-1"}, log_key)
    paths = {name: folder / name for name in ("early", "late", "certificate.intoto.json", "trust.pem", "c.tlog-proof")}
    paths["early"].write_text(log.checkpoint(), "utf-8")
    index = log.append(certificate_entry(data), log_key)
    paths["late"].write_text(log.checkpoint(), "utf-8")
    log.append({"type": "expunge/state/v1", "ref": "r-1"}, log_key)
    paths["certificate.intoto.json"].write_bytes(data)
    paths["trust.pem"].write_text(public_pem(signing_key), "ascii")
    paths["c.tlog-proof"].write_text(log.proof(index), "utf-8")
    return Evidence(
        folder=folder,
        signing_key=signing_key,
        log_key=log_key,
        statement=statement,
        log=log,
        certificate=paths["certificate.intoto.json"],
        trust=paths["trust.pem"],
        proof=paths["c.tlog-proof"],
        model=model,
        manifest=manifest,
        early=paths["early"],
        late=paths["late"],
    )


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return issue(tmp_path)
