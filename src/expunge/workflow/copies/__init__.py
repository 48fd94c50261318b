"""Where a model version lives outside the project, by kind: ask whether it is there, and delete it if it is what was registered."""

import re
from urllib.parse import parse_qsl, urlsplit

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.workflow.copies._kind import CopyKind, Probe, Standing
from expunge.workflow.copies._registry import kinds

DECLARED = ("backup", "cache", "checkpoint", "retrieval_store")  # nothing here can empty them: somebody by name does


def check_place(kind: str, uri: str) -> None:
    """Refuse an address that holds a secret, or is none of its kind.

    Raises: InvalidParameter; UnknownMethod.
    """
    words = ("token", "signature", "key", "password", "secret", "sig", "credential")
    signed = any(word in name.lower() for name, _ in parse_qsl(urlsplit(uri).query) for word in words)
    user = r"://[^/@]*:[^/@]*@" if kind == "hub" else r"://[^/]*@"  # a hub's @ is before the revision
    if signed or re.search(user, uri):
        raise InvalidParameter(
            "the address of a copy is kept and shown, so it may hold no user, password or token; each tool finds its credentials "
            "where it always does, in the environment or its own configuration"
        )
    if kind not in DECLARED:
        kinds.get(kind)().check(uri)


def probe_copy(kind: str, uri: str, digest: str) -> Probe:
    """What is at a place now. Changes nothing, and raises nothing: who does not answer cannot be asked."""
    if kind not in kinds.names():
        return Probe(Standing.UNASKED, f"nothing here can ask a {kind}")
    try:
        copy: CopyKind = kinds.get(kind)()
        return copy.probe(uri, digest)
    except Exception as e:  # noqa: BLE001 – other people's clients raise what they like, and a delivery goes on
        return Probe(Standing.UNASKED, _reason(e))


def purge_copy(kind: str, uri: str, digest: str) -> Probe:
    """Delete what is at a place if it is what was registered, and tell what is there then. Raises nothing."""
    before = probe_copy(kind, uri, digest)
    if before.standing is not Standing.THERE:
        return before
    try:
        kinds.get(kind)().purge(uri, digest)
    except Exception as e:  # noqa: BLE001 – as above
        return Probe(Standing.UNASKED, f"not deleted, or not all of it: {_reason(e)}")
    return probe_copy(kind, uri, digest)


def _reason(e: Exception) -> str:
    """Of errors that are not ours the name alone: their words may hold what was sent."""
    return str(e) if isinstance(e, ExpungeError) else f"its client failed with {type(e).__name__}"


__all__ = ["DECLARED", "CopyKind", "Probe", "Standing", "check_place", "kinds", "probe_copy", "purge_copy"]
