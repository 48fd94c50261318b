import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import InvalidData, UnknownName
from expunge.ledger import Ledger


def test_a_certificate_is_recorded_once_and_gets_its_log_index(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]]).id
    pending = people.record_certificate(request, digest="sha256:c", path="c.json")
    assert pending.log_index is None
    logged = people.record_certificate(request, digest="sha256:c", path="c.json", log_index=0)
    assert people.record_certificate(request, digest="sha256:c", path="c.json", log_index=0) == logged
    assert people.certificates(request) == (logged,)
    for change in ({"path": "d.json", "log_index": 0}, {"path": "c.json", "log_index": 1}):
        with pytest.raises(InvalidData, match="recorded already"):
            people.record_certificate(request, digest="sha256:c", **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidData, match="recorded already"):
        people.record_certificate(people.open_request("people", [PEOPLE[1]]).id, digest="sha256:c", path="c.json")
    assert people.certificates(request) == (logged,)


def test_audits_are_found_by_version_and_by_request(people: Ledger) -> None:
    request = people.open_request("people", [PEOPLE[0]]).id
    first = people.record_audit(version="sha256:v1", digest="sha256:a", path="a.json", request=request)
    second = people.record_audit(version="sha256:v2", digest="sha256:b", path="b.json")
    assert people.record_audit(version="sha256:v2", digest="sha256:b", path="b.json") == second
    assert people.audits() == (first, second)
    assert people.audits(version="sha256:v2") == (second,)
    assert people.audits(request=request) == (first,)
    with pytest.raises(InvalidData, match="recorded already"):
        people.record_audit(version="sha256:v2", digest="sha256:b", path="elsewhere.json")
    with pytest.raises(UnknownName):
        people.audits(request="req-0")
