import pytest

from expunge.certify.strict import read_base64, read_json
from expunge.core.errors import InvalidCertificate


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b'"\\ud800"',
        b"1" * 5000,
        b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_json_that_parsers_disagree_on_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidCertificate, match="the example is not readable JSON"):
        read_json(data, "the example")


@pytest.mark.parametrize("text", ["TR==", "TQ", "TQ=", "TQ==\n", " TQ==", "T Q==", "TQ===", "_-==", "é"])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(InvalidCertificate, match="the example is not"):
        read_base64(text, "the example")
