"""Check a certificate offline, with neither a database nor torch: files in, a list of steps out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from expunge.certify.checked import Check, Status, Step
from expunge.certify.checkpoint import Checkpoint, open_checkpoint
from expunge.certify.entry import certificate_entry, encode_entry
from expunge.certify.keys import read_public_pem
from expunge.certify.note import Verifier, read_vkey
from expunge.certify.proof import verify_proof
from expunge.certify.recompute import Recomputed, recompute
from expunge.certify.signature import Signed, is_trusted, read_envelope, verify_signature
from expunge.certify.statement import Statement, read_statement
from expunge.certify.tree import root
from expunge.core.digests import digest_folder, sha256_file
from expunge.core.errors import DigestMismatch, ExpungeError, InvalidCertificate, InvalidData

_REWRITABLE = (
    "no checkpoint kept outside was compared: the operator could have rewritten this log and issued the "
    "certificate again. Keep a checkpoint from today and pass it next time"
)


def check(
    certificate: Path,
    *,
    trust: Sequence[Path] = (),
    log: Path | None = None,
    proof: Path | None = None,
    checkpoint: Path | None = None,
    model: Path | None = None,
    manifest: Path | None = None,
) -> Check:
    """Check `certificate` against what the reader holds.

    1. envelope: the file is a DSSE envelope in its one spelling.
    2. signature: it holds for the key that the statement names.
    3. signer: that key is one of `trust` (public keys in PEM files, got by another way than the certificate).
    4. statement: it is an erasure statement with every required field.
    5. inclusion: the file's SHA-256 is in the log that the statement names, from the whole folder `log`, of
       which every hash is recomputed, or from the file `proof` alone.
    6. outside checkpoint: `checkpoint`, kept by someone else, is of the same log at an earlier or equal size.
    7. model, 8. manifest: the digest is that of a subject named `model:…` or `manifest:…`.

    Steps 1 to 5 are needed for a pass, 6 to 8 if their file is given. A needed step that could not run
    gives exit code 3, a failed one 1.

    Raises: InvalidData, if a file of `trust` is not a P-256 public key.
    """
    trusted = [_trusted_pem(path) for path in trust]
    reader = _Reader(certificate, trusted, log, proof, checkpoint, model, manifest)
    reader.run("envelope", reader.envelope)
    reader.run("signature", reader.signature, after="envelope")
    reader.run("signer", reader.signer, after="signature")
    reader.run("statement", reader.read_statement, after="signature")
    reader.run("inclusion", reader.inclusion, after="statement")
    reader.run("outside checkpoint", reader.outside_checkpoint, after="inclusion", asked=checkpoint is not None)
    reader.run("model", reader.model_digest, after="statement", asked=model is not None)
    reader.run("manifest", reader.manifest_digest, after="statement", asked=manifest is not None)
    warnings = () if reader.status.get("outside checkpoint") == "ok" else (_REWRITABLE,)
    return Check(tuple(reader.steps), frozenset(reader.needed), warnings, reader.statement)


class _CannotRun(Exception):
    """A step lacks what it needs; that is neither a pass nor a failure."""


class _Reader:
    """What the reader holds, what was learned so far, and one method per step that returns its message."""

    def __init__(
        self,
        certificate: Path,
        trusted: list[str],
        log: Path | None,
        proof: Path | None,
        checkpoint: Path | None,
        model: Path | None,
        manifest: Path | None,
    ) -> None:
        self.certificate, self.trusted = certificate, trusted
        self.log, self.proof, self.checkpoint = log, proof, checkpoint
        self.model, self.manifest = model, manifest
        self.steps: list[Step] = []
        self.status: dict[str, Status] = {}
        self.needed: set[str] = set()
        self.data = b""
        self.signed: Signed
        self.statement: Statement | None = None
        self.by: Verifier
        self.whole: Recomputed | None = None
        self.proven: Checkpoint | None = None

    def run(self, name: str, step: Callable[[], str], *, after: str | None = None, asked: bool = True) -> None:
        status: Status = "not run"
        if asked:
            self.needed.add(name)
        if not asked:
            message = "not asked for"
        elif after and self.status[after] != "ok":
            message = f"needs the step '{after}'"
        else:
            try:
                message, status = step(), "ok"
            except _CannotRun as e:
                message = str(e)
            except ExpungeError as e:
                message, status = str(e), "failed"
            except OSError as e:
                message, status = f"cannot read {e.filename}: {e.strerror}", "failed"
            except RecursionError:
                message, status = "nested too deeply to be read", "failed"
        self.status[name] = status
        self.steps.append(Step(name, status, message))

    # 1.
    def envelope(self) -> str:
        self.data = self.certificate.read_bytes()
        self.signed = read_envelope(self.data)
        return "a DSSE envelope in canonical form"

    # 2.
    def signature(self) -> str:
        verify_signature(self.signed)
        return f"valid, by key {self.signed.key_id}"

    # 3.
    def signer(self) -> str:
        if is_trusted(self.signed, self.trusted):
            return "the key is one that you trust"
        hint = "it is none of the keys you trust" if self.trusted else "name a key to trust"
        raise _CannotRun(f"signature valid, signer unknown: {hint} (key {self.signed.key_id})")

    # 4.
    def read_statement(self) -> str:
        self.statement = read_statement(self.signed.payload)
        predicate = self.statement["predicate"]
        flags = f", flags {', '.join(predicate['flags'])}" if predicate["flags"] else ""
        return f"certificate {predicate['certificateId']}: assurance {predicate['assurance']}{flags}"

    # 5.
    def inclusion(self) -> str:
        if self.log is None and self.proof is None:
            raise _CannotRun("neither the log nor a proof was given, so nothing shows that this was logged")
        self.by = self._log_verifier()
        entry = encode_entry(certificate_entry(self.data))
        shown = []
        if self.log is not None:
            self.whole = recompute(self.log, self.by)
            if entry not in self.whole.entries:
                raise InvalidCertificate(
                    f"the certificate's SHA-256 is in none of the log's {len(self.whole.entries)} entries; "
                    "the certificate was altered, or issued outside the log"
                )
            shown.append(f"entry {self.whole.entries.index(entry)} of {len(self.whole.entries)}, log recomputed")
        if self.proof is not None:
            index, self.proven = verify_proof(self.proof.read_bytes(), entry, self.by)
            self._same_log(self.proven, "the proof")
            shown.append(f"entry {index} by proof at size {self.proven.size}")
        return "; ".join(shown)

    # 6.
    def outside_checkpoint(self) -> str:
        assert self.checkpoint is not None
        # Others may have signed it too: a witness adds a line of its own.
        outside = open_checkpoint(self.checkpoint.read_bytes(), self.by, others=True)
        self._same_log(outside, "the outside checkpoint")
        return f"the log extends the checkpoint of {outside.size} entries kept outside"

    # 7.
    def model_digest(self) -> str:
        assert self.model is not None
        return self._named("model:", digest_folder(self.model).removeprefix("sha256:"), self.model)

    # 8.
    def manifest_digest(self) -> str:
        assert self.manifest is not None
        return self._named("manifest:", sha256_file(self.manifest), self.manifest)

    def _log_verifier(self) -> Verifier:
        assert self.statement is not None
        if not (named := self.statement["predicate"].get("log")):
            raise _CannotRun("the statement names no log, so it cannot be looked up in one")
        found = read_vkey(named["vkey"])
        if found.name != named["origin"]:
            raise InvalidCertificate(f"the statement names the log {named['origin']!r} but the key of {found.name!r}")
        return found

    def _same_log(self, other: Checkpoint, what: str) -> None:
        """`other` must be an earlier or equal state of the log as far as the reader holds it."""
        if self.whole is not None:
            if other.size > self.whole.checkpoint.size:
                raise InvalidCertificate(
                    f"{what} covers {other.size} entries, the log holds {self.whole.checkpoint.size}; "
                    "entries were removed, or this copy is old"
                )
            if root(self.whole.range_hash, other.size) != other.root:
                raise InvalidCertificate(f"{what} covers {other.size} entries that this log does not begin with")
        elif self.proven is not None and other != self.proven:
            if other.size == self.proven.size:
                raise InvalidCertificate(f"{what} and the proof have different roots at the same size: two stories")
            raise _CannotRun(f"{what} is of size {other.size}, the proof of {self.proven.size}; only the log can tell")

    def _named(self, prefix: str, sha256: str, path: Path) -> str:
        assert self.statement is not None
        subjects = [s for s in self.statement["subject"] if s["name"].startswith(prefix)]
        if not subjects:
            raise _CannotRun(f"the certificate names no subject '{prefix}…', so it says nothing of {path}")
        if named := [s["name"] for s in subjects if s["digest"]["sha256"] == sha256]:
            return f"{path} is {named[0]}"
        certified = ", ".join(f"{s['name']} sha256:{s['digest']['sha256']}" for s in subjects)
        raise DigestMismatch(
            f"{path} is sha256:{sha256}, the certificate is for {certified}; it is another {prefix[:-1]}"
        )


def _trusted_pem(path: Path) -> str:
    try:
        pem = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read a trusted key from {path}: {e}") from e
    read_public_pem(pem, str(path))
    return pem
