"""Whether the ledger still tells the story that it told: its chain of events, held against the newest certificate."""

import hashlib

from expunge.core.errors import InvalidCertificate
from expunge.ledger.chain import Head
from expunge.workflow.project.project import Project


def check_story(project: Project) -> Head:
    """Follow the chain of events, and see that it is the one that the newest certificate binds, and with it all before.

    Raises: InvalidData, if an event was changed, removed or inserted, or a trigger dropped; InvalidCertificate, if the
    certificate is not the file that was recorded.
    """
    return project.ledger.check_events(_anchor(project))


def _anchor(project: Project) -> dict[int, str]:
    """The digest that the newest certificate binds, by number of events; none if every certificate was moved away."""
    from expunge.certify.signature import read_envelope
    from expunge.certify.statement import read_statement

    for issued in reversed(project.ledger.certificates()):
        path = project.root / issued.path
        if not path.exists():
            continue
        data = path.read_bytes()
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != issued.digest:
            raise InvalidCertificate(
                f"{path} is not the certificate that was issued ({issued.digest}); restore it from a backup or from whoever was "
                "given it"
            )
        events = read_statement(read_envelope(data).payload)["predicate"].get("events")
        return {int(events["count"]): str(events["head"])} if events else {}
    return {}
