"""Check a certificate offline, with neither a database nor torch: files in, a list of steps out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from expunge.certify.checked import Check, Status, Step
from expunge.certify.checkpoint import Checkpoint, open_checkpoint
from expunge.certify.entry import certificate_entry, encode_entry
from expunge.certify.keys import read_public_pem
from expunge.certify.note import Verifier, read_vkey
from expunge.certify.proof import verify_proof
from expunge.certify.recompute import Recomputed, recompute
from expunge.certify.said import said
from expunge.certify.signature import Signed, is_trusted, read_envelope, verify_signature
from expunge.certify.small_file import read_small
from expunge.certify.statement import PREDICATE_TYPE_V1, Statement, read_statement
from expunge.certify.tree import root
from expunge.core.digests import digest_folder, sha256_file
from expunge.core.errors import DigestMismatch, ExpungeError, InvalidCertificate, InvalidData

_REWRITABLE = (
    "no checkpoint kept outside was compared: the operator could have rewritten this log and issued the "
    "certificate again. Keep a checkpoint from today and pass it next time"
)
_FIRST_FORM = (
    "this certificate has the form of release 0.1, which need not say how its result was verified and delivered"
)


def check(
    certificate: Path,
    *,
    trust: Sequence[Path] = (),
    log: Path | None = None,
    log_key: str | None = None,
    proof: Path | None = None,
    checkpoint: Path | None = None,
    model: Path | None = None,
    manifest: Path | None = None,
    content: Callable[[Path], str | None] | None = None,
) -> Check:
    """Check `certificate` against what the reader holds.

    1. envelope: the file is a DSSE envelope in its one spelling.
    2. signature: it holds for the key that the statement names.
    3. signer: that key is one of `trust` (public keys in PEM files, got by another way than the certificate).
    4. statement: it is an erasure statement with every required field, times in order, and no contradiction.
    5. inclusion: the file's SHA-256 is in the log that the statement names, from the whole folder `log`, of
       which every hash is recomputed, or from the file `proof` alone.
    6. outside checkpoint: `checkpoint`, kept by someone else, is of the same log, which still begins with it, and
       covers this certificate's entry. One that does not cover it says nothing of it: not run.
    7. log key: the log's key is `log_key` (a verifier key, got by another way than the certificate) or has signed
       `checkpoint`; a key that only the certificate names could be of a log made up for it: not run.
    8. model, 9. manifest: the digest is that of a subject named `model:…` or `manifest:…`. Of a manifest whose bytes
       differ the records are compared, by the digest that `content` gives of them (None: it cannot read the file).

    Steps 1 to 5 and 7 are needed for a pass, the others if their file is given. A needed step that could not run
    gives exit code 3, a failed one 1.

    Raises: InvalidData, if a file of `trust` is not a P-256 public key, or `log_key` no verifier key.
    """
    trusted = [_trusted_pem(path) for path in trust]
    reader = _Reader(certificate, trusted, log, _pinned(log_key), proof, checkpoint, model, manifest, content)
    reader.run("envelope", reader.envelope)
    reader.run("signature", reader.signature, after="envelope")
    reader.run("signer", reader.signer, after="signature")
    reader.run("statement", reader.read_statement, after="signature")
    reader.run("inclusion", reader.inclusion, after="statement")
    reader.run("outside checkpoint", reader.outside_checkpoint, after="inclusion", asked=checkpoint is not None)
    reader.run("log key", reader.log_key, after="inclusion")
    reader.run("model", reader.model_digest, after="statement", asked=model is not None)
    reader.run("manifest", reader.manifest_digest, after="statement", asked=manifest is not None)
    warnings = () if reader.status.get("outside checkpoint") == "ok" else (_REWRITABLE,)
    if reader.statement and reader.statement["predicateType"] == PREDICATE_TYPE_V1:
        warnings = (*warnings, _FIRST_FORM)
    sentences = said(reader.statement) if reader.statement else ()
    return Check(tuple(reader.steps), frozenset(reader.needed), warnings, reader.statement, sentences)


class _CannotRun(Exception):
    """A step lacks what it needs; that is neither a pass nor a failure."""


class _Reader:
    """What the reader holds, what was learned so far, and one method per step that returns its message."""

    def __init__(
        self,
        certificate: Path,
        trusted: list[str],
        log: Path | None,
        pinned: Verifier | None,
        proof: Path | None,
        checkpoint: Path | None,
        model: Path | None,
        manifest: Path | None,
        content: Callable[[Path], str | None] | None,
    ) -> None:
        self.certificate, self.trusted = certificate, trusted
        self.log, self.pinned, self.proof, self.checkpoint = log, pinned, proof, checkpoint
        self.model, self.manifest, self.content = model, manifest, content
        self.steps: list[Step] = []
        self.status: dict[str, Status] = {}
        self.needed: set[str] = set()
        self.data = b""
        self.signed: Signed
        self.statement: Statement | None = None
        self.by: Verifier
        self.whole: Recomputed | None = None
        self.proven: Checkpoint | None = None
        self.index = 0
        self.seen_before = False  # a checkpoint kept outside is signed by the log's key

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
        self.data = read_small(self.certificate)
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
            self.index = self.whole.entries.index(entry)
            shown.append(f"entry {self.index} of {len(self.whole.entries)}, log recomputed")
        if self.proof is not None:
            self.index, self.proven = verify_proof(read_small(self.proof), entry, self.by)
            self._same_log(self.proven, "the proof")
            shown.append(f"entry {self.index} by proof at size {self.proven.size}")
        return "; ".join(shown)

    # 6.
    def outside_checkpoint(self) -> str:
        assert self.checkpoint is not None
        outside = open_checkpoint(read_small(self.checkpoint), self.by)
        self.seen_before = True
        self._same_log(outside, "the outside checkpoint")
        if self.index >= outside.size:
            raise _CannotRun(
                f"the checkpoint kept outside covers {outside.size} entries and not this one, entry {self.index}; "
                "it says nothing of this certificate"
            )
        return f"the log extends the checkpoint of {outside.size} entries kept outside, which cover this one"

    # 7.
    def log_key(self) -> str:
        if self.pinned is not None:
            if self.pinned != self.by:
                raise InvalidCertificate(
                    f"the certificate names the log key {self.by.vkey}, pinned is {self.pinned.vkey}; it is in another log"
                )
            return "the log's key is the one that you named"
        if self.seen_before:
            return "the log's key has signed the checkpoint kept outside"
        raise _CannotRun(f"not pinned: the certificate alone says that this is the log's key; name it ({self.by.vkey})")

    # 8.
    def model_digest(self) -> str:
        assert self.model is not None
        return self._named("model:", digest_folder(self.model).removeprefix("sha256:"), self.model)

    # 9.
    def manifest_digest(self) -> str:
        assert self.manifest is not None
        try:
            return f"{self._named('manifest:', sha256_file(self.manifest), self.manifest)}, byte for byte"
        except DigestMismatch:
            content = self.content(self.manifest) if self.content and self._subjects("manifest-content:") else None
            if content is None:
                raise
        named = self._named("manifest-content:", content.removeprefix("sha256:"), self.manifest)
        return f"{named}: the same records in the same order, though written with other bytes"

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
        elif self.proven is not None and (other.size, other.root) != (self.proven.size, self.proven.root):
            if other.size == self.proven.size:
                raise InvalidCertificate(f"{what} and the proof have different roots at the same size: two stories")
            raise _CannotRun(f"{what} is of size {other.size}, the proof of {self.proven.size}; only the log can tell")

    def _named(self, prefix: str, sha256: str, path: Path) -> str:
        subjects = self._subjects(prefix)
        if not subjects:
            raise _CannotRun(f"the certificate names no subject '{prefix}…', so it says nothing of {path}")
        if named := [s["name"] for s in subjects if s["digest"]["sha256"] == sha256]:
            return f"{path} is {named[0]}"
        certified = ", ".join(f"{s['name']} sha256:{s['digest']['sha256']}" for s in subjects)
        raise DigestMismatch(
            f"{path} is sha256:{sha256}, the certificate is for {certified}; it is another {prefix[:-1]}"
        )

    def _subjects(self, prefix: str) -> list[dict[str, Any]]:
        assert self.statement is not None
        return [s for s in self.statement["subject"] if s["name"].startswith(prefix)]


def _pinned(vkey: str | None) -> Verifier | None:
    try:
        return None if vkey is None else read_vkey(vkey.strip())
    except InvalidCertificate as e:
        raise InvalidData(f"this cannot be a log's key: {e}") from e


def _trusted_pem(path: Path) -> str:
    try:
        pem = read_small(path).decode("utf-8")
    except InvalidCertificate as e:
        raise InvalidData(str(e)) from e
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidData(f"cannot read a trusted key from {path}: {e}") from e
    read_public_pem(pem, str(path))
    return pem
