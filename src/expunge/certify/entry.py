"""One line of the log: a small canonical JSON object without personal data, never the certificate itself."""

import hashlib
from collections.abc import Mapping
from typing import Any

from expunge.core.digests import canonical_json
from expunge.core.errors import InvalidData

MAX_ENTRY = 65535  # its length is stored in two bytes
CERTIFICATE = "expunge/certificate/v1"


def encode_entry(entry: Mapping[str, Any]) -> bytes:
    """Canonical bytes (RFC 8785) of an entry.

    Raises: InvalidData, if it has no `type` or is longer than 65 535 bytes.

    >>> encode_entry({"type": "example/v1", "n": 1})
    b'{"n":1,"type":"example/v1"}'
    """
    if not isinstance(entry.get("type"), str) or not entry["type"]:
        raise InvalidData("a log entry needs a 'type' such as 'expunge/certificate/v1'")
    data = canonical_json(dict(entry))
    if len(data) > MAX_ENTRY:
        raise InvalidData(f"a log entry may take {MAX_ENTRY} bytes, got {len(data)}; log a digest of it instead")
    return data


def certificate_entry(certificate: bytes) -> dict[str, str]:
    """The entry that stands for a certificate file. It holds nothing else, so a proof alone can be checked.

    >>> certificate_entry(b"")["envelope_sha256"][:8]
    'e3b0c442'
    """
    return {"type": CERTIFICATE, "envelope_sha256": hashlib.sha256(certificate).hexdigest()}
