"""Evidence that anyone can check offline: a signed statement of what was done, and a log of such statements.

`erasure_statement` says it, `sign` makes the certificate file, `Log` keeps its digest, `check` holds all of
it against what the reader has. Formats are other people's (in-toto, DSSE, C2SP tlog), so their tools can
verify it too. No torch, no database.
"""

from expunge.certify.check import check
from expunge.certify.checked import Check, Step
from expunge.certify.entry import certificate_entry
from expunge.certify.keys import (
    create_log_key,
    create_signing_key,
    load_log_key,
    load_signing_key,
    public_pem,
)
from expunge.certify.limits import LIMITS
from expunge.certify.log import Log
from expunge.certify.note import verifier
from expunge.certify.signature import Opened, open_envelope, sign
from expunge.certify.statement import PREDICATE_TYPE, erasure_statement

__all__ = [
    "LIMITS",
    "PREDICATE_TYPE",
    "Check",
    "Log",
    "Opened",
    "Step",
    "certificate_entry",
    "check",
    "create_log_key",
    "create_signing_key",
    "erasure_statement",
    "load_log_key",
    "load_signing_key",
    "open_envelope",
    "public_pem",
    "sign",
    "verifier",
]
