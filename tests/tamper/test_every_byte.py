"""Change any one byte of anything that a reader holds: the check refuses, and says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expunge.certify import Log, certificate_entry, check

MASKS = (0x01, 0x20, 0xFF)  # the next value, the other case, every bit


def changes(data: bytes, masks: tuple[int, ...] = MASKS) -> Iterator[bytes]:
    for at in range(len(data)):
        for mask in masks:
            yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def refused_reasons(path: Path, variants: Iterator[bytes], **given: Any) -> set[str]:
    """Put every variant in the place of `path`; return at which steps it was refused."""
    original, steps = path.read_bytes(), set()
    assert check(**given).exit_code == 0, "the control: untouched, it passes"
    for variant in variants:
        path.write_bytes(variant)
        checked = check(**given)
        assert checked.exit_code == 1, f"{path.name}: a change of {original!r} to {variant!r} passed"
        assert checked.first_failure is not None
        step, _, reason = checked.first_failure.partition(": ")
        assert reason
        steps.add(step)
    path.write_bytes(original)
    assert check(**given).exit_code == 0
    return steps


def test_certificate_checked_with_the_log(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
    }
    steps = refused_reasons(evidence.certificate, changes(evidence.certificate.read_bytes()), **given)
    assert steps <= {"envelope", "signature"}, "an altered certificate is refused before its content is read"


def test_certificate_checked_with_the_proof_alone(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "proof": evidence.proof,
    }
    refused_reasons(evidence.certificate, changes(evidence.certificate.read_bytes(), (0x01,)), **given)


def test_a_byte_more_or_less_in_the_certificate(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
    }
    data = evidence.certificate.read_bytes()
    shorter = (data[:at] + data[at + 1 :] for at in range(len(data)))
    refused_reasons(evidence.certificate, shorter, **given)
    longer = (data[:at] + b" " + data[at:] for at in range(len(data) + 1))
    refused_reasons(evidence.certificate, longer, **given)


def test_every_file_of_the_log(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
    }
    files = [path for path in evidence.log.folder.rglob("*") if path.is_file()]
    assert len(files) == 7, "the checkpoint, and the tiles of every size that was signed"
    for path in files:
        assert refused_reasons(path, changes(path.read_bytes()), **given) == {"inclusion"}


def test_every_file_of_a_log_with_full_tiles(evidence: Any) -> None:
    """258 entries: full tiles, partial ones and a second level. Every file, every 97th byte."""
    for n in range(255):
        evidence.log.append({"type": "expunge/state/v1", "n": n}, evidence.log_key)
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
    }
    files = [path for path in evidence.log.folder.rglob("*") if path.is_file()]
    assert len(files) == 8, "a full tile and the partial ones that were signed since"
    for path in files:
        data = path.read_bytes()
        places = (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 97))
        assert refused_reasons(path, places, **given) == {"inclusion"}


@pytest.mark.slow
def test_every_byte_of_a_log_with_full_tiles(evidence: Any) -> None:
    for n in range(255):
        evidence.log.append({"type": "expunge/state/v1", "n": n}, evidence.log_key)
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
    }
    for path in [path for path in evidence.log.folder.rglob("*") if path.is_file()]:
        assert refused_reasons(path, changes(path.read_bytes(), (0x01,)), **given) == {"inclusion"}


def test_the_proof(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "proof": evidence.proof,
    }
    assert refused_reasons(evidence.proof, changes(evidence.proof.read_bytes()), **given) == {"inclusion"}
    data = evidence.proof.read_bytes()
    shorter = (data[:at] + data[at + 1 :] for at in range(len(data)))
    assert refused_reasons(evidence.proof, shorter, **given) == {"inclusion"}


def test_the_checkpoint_kept_outside(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
        "checkpoint": evidence.late,
    }
    steps = refused_reasons(evidence.late, changes(evidence.late.read_bytes()), **given)
    assert steps == {"outside checkpoint"}


def test_every_file_of_the_model_and_the_manifest(evidence: Any) -> None:
    given = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
        "model": evidence.model,
        "manifest": evidence.manifest,
    }
    for path in [p for p in evidence.model.rglob("*") if p.is_file()]:
        assert refused_reasons(path, changes(path.read_bytes()), **given) == {"model"}
    assert refused_reasons(evidence.manifest, changes(evidence.manifest.read_bytes()), **given) == {"manifest"}


def test_a_file_added_to_removed_from_or_renamed_in_the_model(evidence: Any) -> None:
    given: dict[str, Any] = {
        "certificate": evidence.certificate,
        "trust": [evidence.trust],
        "log_key": evidence.vkey,
        "log": evidence.log.folder,
        "model": evidence.model,
    }
    weights, extra = evidence.model / "sub" / "weights.bin", evidence.model / "extra.bin"
    extra.write_bytes(b"")
    assert check(**given).exit_code == 1
    weights.rename(extra)
    assert check(**given).exit_code == 1
    extra.unlink()
    assert check(**given).exit_code == 1


def test_the_malleable_ecdsa_twin_is_refused(evidence: Any) -> None:
    """(r, n - s) is a valid signature of the same statement; the log names the file that was issued."""
    import base64
    import json

    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    envelope = json.loads(evidence.certificate.read_bytes())
    r, s = decode_dss_signature(base64.b64decode(envelope["signatures"][0]["sig"]))
    twin = base64.b64encode(encode_dss_signature(r, order - s)).decode()
    envelope["signatures"][0]["sig"] = twin
    evidence.certificate.write_bytes(json.dumps(envelope, separators=(",", ":")).encode() + b"\n")
    checked = check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=evidence.log.folder)
    assert checked.steps[1].status == "ok"
    assert checked.exit_code == 1
    assert checked.first_failure is not None
    assert checked.first_failure.startswith("inclusion: the certificate's SHA-256 is in none")


def test_a_log_cut_back_to_before_the_certificate(evidence: Any) -> None:
    shorter = Log(evidence.folder / "shorter", evidence.log.origin)
    shorter.append(evidence.log.entries()[0], evidence.log_key)
    assert evidence.log.find(certificate_entry(evidence.certificate.read_bytes())) == 1
    assert check(evidence.certificate, trust=[evidence.trust], log_key=evidence.vkey, log=shorter.folder).exit_code == 1
