"""What a project signs with, and the log that it writes to: keys and folder are held against what the ledger recorded."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core.durable import rename_durably, write_durably
from expunge.core.errors import InvalidCertificate, NotReady
from expunge.ledger import Ledger
from expunge.workflow.project.project import LOG_KEY, PUBLIC_KEY, Project

if TYPE_CHECKING:
    from expunge.certify import Log
    from expunge.certify.checkpoint import Checkpoint
    from expunge.certify.keys import LogKey, SigningKey


@dataclass(frozen=True)
class ProjectMemory:
    """What a log's signer signed last: in the ledger's database, and in the proofs beside certificates.

    The ledger knows what is about to be signed. Where it was restored from a backup together with the log, the proofs still
    hold what was signed since.
    """

    ledger: Ledger
    evidence: Path

    def newest(self) -> "Checkpoint | None":
        from expunge.certify.checkpoint import Checkpoint

        head = self.ledger.log_head()
        if head is None:
            return None
        recorded = [Checkpoint(head.origin, head.size, bytes.fromhex(head.root))] if head.size else []
        return max([*recorded, *self._proven(head.vkey)], key=lambda checkpoint: checkpoint.size, default=None)

    def _proven(self, vkey: str) -> "Iterator[Checkpoint]":
        """The checkpoints in proofs, as far as this log signed them."""
        from expunge.certify.checkpoint import open_checkpoint
        from expunge.certify.note import read_vkey
        from expunge.certify.proof import read_proof

        by = read_vkey(vkey)
        for path in self.evidence.glob("*/*.tlog-proof"):
            with suppress(InvalidCertificate, OSError):  # damaged, or of another log: it proves nothing here
                yield open_checkpoint(read_proof(path.read_bytes()).checkpoint.encode(), by)

    def keep(self, checkpoint: "Checkpoint", entry: Mapping[str, Any]) -> None:
        sha256 = entry.get("envelope_sha256")
        certificate = f"sha256:{sha256}" if sha256 else None
        self.ledger.keep_checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), certificate)


def introduce(project: Project, name: str) -> None:
    """Write down, of a new project, which keys it speaks with and under which name it logs. May be repeated."""
    from expunge.certify import verifier

    if project.ledger.log_head() is None:
        origin = _fresh_origin(name)
        project.ledger.begin_log(origin, verifier(origin, project.log_key()).vkey)
    signing_key(project)
    log_of(project)


def signing_key(project: Project) -> "SigningKey":
    """The key that signs this project's certificates, and its public half where auditors get it.

    Raises: InvalidCertificate, if the key file is another one than the ledger recorded.
    """
    from expunge.certify import public_pem
    from expunge.certify.keys import key_id

    key = project.signing_key()
    project.ledger.record_signer(key_id(key.public_key()))
    write_durably(project.root / PUBLIC_KEY, public_pem(key).encode())
    return key


def log_of(project: Project) -> tuple["Log", "LogKey"]:
    """The log that this project writes to, with its key.

    Raises: InvalidCertificate, if the key file is another one than the ledger recorded.
    """
    from expunge.certify import Log, verifier

    key = project.log_key()
    head = project.ledger.log_head() or _of_an_older_expunge(project, key)
    if (vkey := verifier(head.origin, key).vkey) != head.vkey:
        raise InvalidCertificate(
            f"the log {head.origin} is signed by {head.vkey}, and keys/log.pem is {vkey}; restore the key file, or begin another "
            "log with `expunge log new`. Nothing was signed"
        )
    write_durably(project.root / LOG_KEY, f"{vkey}\n".encode())
    return Log(project.log_folder, head.origin, ProjectMemory(project.ledger, project.root / "evidence")), key


def begin_new_log(project: Project) -> str:
    """Begin a log under a new name, which is returned. The old one's folder stays beside, for those who hold certificates.

    Raises: NotReady, if the present log is empty: there is nothing to leave.
    """
    from expunge.certify import verifier

    head = project.ledger.log_head()
    if head is None or not head.size:
        raise NotReady("this project's log is empty; the next `expunge certify` begins it")
    for name in (project.log_folder.name, LOG_KEY):
        old = project.root / name
        if old.exists():
            rename_durably(old, project.root / f"{old.stem}-{head.id}{old.suffix}")
    origin = _fresh_origin(project.config["name"])
    vkey = verifier(origin, project.log_key()).vkey
    project.ledger.begin_log(origin, vkey)
    write_durably(project.root / LOG_KEY, f"{vkey}\n".encode())
    return origin


def _fresh_origin(name: str) -> str:
    """Projects are often called alike, and a log's name must be no other's."""
    return f"expunge/{name}/{secrets.token_hex(8)}"


def _of_an_older_expunge(project: Project, key: "LogKey") -> Any:
    """Write down the log of a project in which nobody had: from now on what it was then is remembered."""
    from expunge.certify import Log, verifier
    from expunge.certify.checkpoint import open_checkpoint

    by = verifier(project.log_origin, key)
    if not Log(project.log_folder, by.name).size:
        return project.ledger.begin_log(by.name, by.vkey)
    found = open_checkpoint(Log(project.log_folder, by.name).checkpoint().encode(), by)
    return project.ledger.begin_log(by.name, by.vkey, found.size, found.root.hex())
