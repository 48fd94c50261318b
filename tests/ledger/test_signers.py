import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import InvalidCertificate, InvalidData
from expunge.ledger import Ledger


def test_a_project_has_one_signer(ledger: Ledger) -> None:
    assert ledger.signer() is None
    ledger.record_signer("a" * 64)
    ledger.record_signer("a" * 64)
    assert ledger.signer() == "a" * 64
    with pytest.raises(InvalidCertificate, match="restore the key file"):
        ledger.record_signer("b" * 64)
    assert ledger.signer() == "a" * 64


def test_a_checkpoint_is_kept_with_the_certificate_s_place_and_an_event(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]]).id
    people.record_certificate(request, digest="sha256:c", path="c.json")
    people.begin_log("log/1", "vkey")
    for _ in range(2):  # a kill comes between this and the signature: it is kept again
        people.keep_checkpoint("log/1", 1, "root", "sha256:c")
    (certificate,) = people.certificates(request)
    assert certificate.log_index == 0
    assert [e.kind for e in people.events(request)] == ["received", "logged"]
    head = people.log_head()
    assert head is not None
    assert (head.size, head.root) == (1, "root")
    for size, root in ((1, "another root"), (0, "")):
        with pytest.raises(InvalidCertificate, match="nothing was signed"):
            people.keep_checkpoint("log/1", size, root, None)
    with pytest.raises(InvalidCertificate, match="nothing was signed"):
        people.keep_checkpoint("log/2", 2, "root", None)


def test_two_certificates_have_no_place_in_common_but_in_another_log(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]]).id
    people.record_certificate(request, digest="sha256:c", path="c.json", log_index=0)
    with pytest.raises(InvalidData, match="entry 0 of the log is recorded already, as certificate sha256:c"):
        people.record_certificate(request, digest="sha256:d", path="d.json", log_index=0)
    people.record_certificate(request, digest="sha256:d", path="d.json", log_index=0, log_id=2)


def test_a_new_log_has_a_name_that_no_other_had(ledger: Ledger) -> None:
    ledger.begin_log("log/1", "vkey")
    assert ledger.begin_log("log/2", "vkey").id == 2
    with pytest.raises(InvalidData, match="choose another name"):
        ledger.begin_log("log/1", "vkey")
