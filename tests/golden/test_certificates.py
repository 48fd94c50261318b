"""Certificates that were issued once and must verify for ever; `issue` shows how the newest was made.

Each folder holds what an auditor is handed: certificate, proof, log, the operator's public keys, an earlier
checkpoint, and the model and manifest that it is about. All of it is fictitious; the private keys were thrown
away. If a change of the format makes a test here fail, the format needs a new version beside these, not a new
file. `v1` is the form of release 0.1, which need not say how a result was verified and delivered.
"""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from expunge.certify import (
    LIMITS,
    Log,
    certificate_entry,
    check,
    create_log_key,
    create_signing_key,
    erasure_statement,
    public_pem,
    sign,
    verifier,
)
from expunge.core.digests import digest_folder, sha256_file

HERE = Path(__file__).parent
ORIGIN = "expunge.example/log/golden"
CERTIFICATE_SHA256 = {
    "v1": "c522198ffea040c2d0b77f188f473845443f50061df96222657f9a8ff609200c",
    "v2": "83ae41f561269919e2b59606895e80d51f9dc746506770e5a2ae061eec04472f",
}
# Of v1 no file with the log's key was handed out.
V1_VKEY = "expunge.example/log/golden+a68c3439+AbM7YVBrxCOEWuyLEIJBSR9SH2SUAsNlhgC3c7aOiBha"
GOLDEN = HERE / "v2"


def issue(folder: Path, keys: Path) -> None:
    """Write into `folder` what was handed out, with fresh keys that stay in `keys`."""
    signing_key, log_key = create_signing_key(keys / "signing.pem"), create_log_key(keys / "log.pem")
    model, manifest = folder / "model", folder / "manifest.json"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"units":2}\n', "utf-8")
    (model / "weights.txt").write_text("0.25 -1.5 3.0\n", "utf-8")
    manifest.write_text('["a fictitious commitment"]\n', "utf-8")
    (folder / "trust.pem").write_text(public_pem(signing_key), "ascii")

    log = Log(folder / "log", ORIGIN)
    log.append({"type": "expunge/request/v1", "alias": "b7c1"}, log_key)
    (folder / "early.checkpoint").write_text(log.checkpoint(), "utf-8")
    subjects = [
        {"name": "model:harbour@2", "digest": {"sha256": digest_folder(model).removeprefix("sha256:")}},
        {"name": "manifest:harbour@2", "digest": {"sha256": sha256_file(manifest)}},
    ]
    predicate = {
        "certificateId": "0190a5d2-0000-7000-8000-00000000601d",
        "issuedAt": "2026-01-31T09:00:00Z",
        "tool": {"name": "expunge", "version": "0.1.0"},
        "request": {"ref": "b7c1"},
        "actions": [{"target": "model:harbour", "class": "exact-retrain-shard", "units": ["unit-5"]}],
        "assurance": "EXACT",
        "flags": [],
        "limits": LIMITS,
        "verification": [{"battery": "standard", "findings": []}],
        "replay": True,
        "delivery": {"override": None, "purged": ["version sha256:00"], "unreachable": [], "residuals": ["backups"]},
        "manifest": {"before": f"sha256:{'0' * 64}", "after": f"sha256:{'1' * 64}"},
        "unknown": [],
        "times": {"delivered": "2026-01-31T08:59:00Z"},
        "log": {"origin": ORIGIN, "vkey": verifier(ORIGIN, log_key).vkey},
    }
    (folder / "log.vkey").write_text(f"{verifier(ORIGIN, log_key).vkey}\n", "ascii")
    data = sign(erasure_statement(subjects, predicate), signing_key)
    (folder / "certificate.intoto.json").write_bytes(data)
    index = log.append(certificate_entry(data), log_key)
    log.append({"type": "expunge/state/v1", "alias": "b7c1", "state": "completed"}, log_key)
    (folder / "certificate.tlog-proof").write_text(log.proof(index), "utf-8")


def checked(folder: Path, checkpoint: Path | None = None) -> Any:
    return check(
        folder / "certificate.intoto.json",
        trust=[folder / "trust.pem"],
        log=folder / "log",
        log_key=(folder / "log.vkey").read_text() if (folder / "log.vkey").exists() else V1_VKEY,
        proof=folder / "certificate.tlog-proof",
        checkpoint=checkpoint or folder / "log" / "checkpoint",
        model=folder / "model",
        manifest=folder / "manifest.json",
    )


def shape(value: Any) -> Any:
    """A JSON value with its texts and numbers replaced by their kind: what differs between two schemas."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(item) for item in value]
        case _:
            return type(value).__name__


def statement(folder: Path) -> Any:
    return json.loads(base64.b64decode(envelope(folder)["payload"]))


def envelope(folder: Path) -> Any:
    return json.loads((folder / "certificate.intoto.json").read_bytes())


@pytest.fixture
def today(tmp_path: Path) -> Path:
    """What this version issues from the same content."""
    issue(tmp_path / "out", tmp_path / "keys")
    return tmp_path / "out"


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_the_golden_certificates_verify(form: str) -> None:
    result = checked(HERE / form)
    assert result.exit_code == 0
    assert {step.status for step in result.steps} == {"ok"}
    assert [("the form of release 0.1" in warning) for warning in result.warnings] == [True] * (form == "v1")


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_a_checkpoint_from_before_a_golden_certificate_says_nothing_of_it(form: str) -> None:
    result = checked(HERE / form, HERE / form / "early.checkpoint")
    assert result.exit_code == 3
    assert [step.name for step in result.steps if step.status != "ok"] == ["outside checkpoint"]


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_the_golden_certificates_are_the_ones_that_were_issued(form: str) -> None:
    data = (HERE / form / "certificate.intoto.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == CERTIFICATE_SHA256[form]


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_an_altered_copy_does_not_verify(tmp_path: Path, form: str) -> None:
    copy = shutil.copytree(HERE / form, tmp_path / "copy")
    (copy / "model" / "weights.txt").write_text("0.25 -1.5 3.1\n", "utf-8")
    assert checked(copy).exit_code == 1


def test_what_is_issued_today_has_the_same_form(today: Path) -> None:
    assert checked(today).exit_code == 0
    assert shape(envelope(today)) == shape(envelope(GOLDEN))
    assert shape(statement(today)) == shape(statement(GOLDEN))
    for fixed in ("_type", "subject", "predicateType"):
        assert statement(today)[fixed] == statement(GOLDEN)[fixed]


def test_what_is_logged_today_has_the_same_form(today: Path) -> None:
    files = [sorted(p.relative_to(f).as_posix() for p in f.rglob("*") if p.is_file()) for f in (today, GOLDEN)]
    assert files[0] == files[1]
    logged = [Log(folder / "log", ORIGIN).entries() for folder in (today, GOLDEN)]
    assert shape(logged[0]) == shape(logged[1])
    assert [logged[0][n] for n in (0, 2)] == [logged[1][n] for n in (0, 2)]
    assert (today / "early.checkpoint").read_text().split("\n")[:3] == (
        (GOLDEN / "early.checkpoint").read_text().split("\n")[:3]
    ), "the same entry must give the same root"


def test_no_private_key_is_kept_here() -> None:
    for path in (p for form in CERTIFICATE_SHA256 for p in (HERE / form).rglob("*")):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()
