"""Whether the ledger still tells the story that it told: its chain of events, held against every certificate issued."""

import hashlib

from expunge.core.errors import InvalidCertificate
from expunge.ledger.chain import Head
from expunge.workflow.project.project import Project


def check_story(project: Project) -> Head:
    """Follow the chain of events, and see that it is the one that this project's certificates bind.

    Raises: InvalidData, if an event was changed, removed or inserted, or a trigger dropped; InvalidCertificate, if a
    certificate is not the file that was recorded.
    """
    return project.ledger.check_events(_anchors(project))


def _anchors(project: Project) -> dict[int, str]:
    """By number of events the digest that a certificate binds; certificates that were moved away bind nothing here."""
    from expunge.certify.signature import read_envelope
    from expunge.certify.statement import read_statement

    found = {}
    for request in project.ledger.requests():
        for issued in project.ledger.certificates(request.id):
            path = project.root / issued.path
            if not path.exists():
                continue
            data = path.read_bytes()
            if f"sha256:{hashlib.sha256(data).hexdigest()}" != issued.digest:
                raise InvalidCertificate(
                    f"{path} is not the certificate that was issued ({issued.digest}); restore it from a backup or from whoever "
                    "was given it"
                )
            events = read_statement(read_envelope(data).payload)["predicate"].get("events")
            if events:
                found[int(events["count"])] = str(events["head"])
    return found
