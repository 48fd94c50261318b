from typing import Any

import pytest

from expunge.certify.entry import certificate_entry, encode_entry
from expunge.certify.note import verifier
from expunge.certify.proof import read_proof, verify_proof
from expunge.core.errors import InvalidCertificate


def test_the_file_has_the_published_form(evidence: Any) -> None:
    lines = evidence.proof.read_text("utf-8").split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 1"]
    assert lines[4:] == ["", *evidence.log.checkpoint().split("\n")]


def test_it_proves_its_entry_and_no_other(evidence: Any) -> None:
    by = verifier(evidence.log.origin, evidence.log_key)
    entry = encode_entry(certificate_entry(evidence.certificate.read_bytes()))
    index, checkpoint = verify_proof(evidence.proof.read_bytes(), entry, by)
    assert (index, checkpoint.size) == (1, 3)
    with pytest.raises(InvalidCertificate, match="of another entry"):
        verify_proof(evidence.proof.read_bytes(), entry + b" ", by)


@pytest.mark.parametrize(
    "old, new",
    [
        ("index 1", "index 01"),
        ("index 1", "index -1"),
        ("index 1", "index 1 "),
        ("index 1", "extra AAA\nindex 1"),
        ("index 1", "extra AAAA\nextra AAAA\nindex 1"),
        ("\n\n", "\nAAAA\n\n"),
        ("\n", "\r\n"),
        ("proof@v1", "proof@v2"),
    ],
)
def test_other_spellings_are_refused(evidence: Any, old: str, new: str) -> None:
    with pytest.raises(InvalidCertificate):
        read_proof(evidence.proof.read_text("utf-8").replace(old, new, 1).encode())


def test_extra_data_of_another_tool_is_kept_and_means_nothing(evidence: Any) -> None:
    data = evidence.proof.read_text("utf-8").replace("index 1", "extra AAAA\nindex 1", 1).encode()
    assert (read_proof(data).extra, read_proof(data).text.encode()) == (bytes(3), data)
    by = verifier(evidence.log.origin, evidence.log_key)
    entry = encode_entry(certificate_entry(evidence.certificate.read_bytes()))
    assert verify_proof(data, entry, by)[0] == 1
