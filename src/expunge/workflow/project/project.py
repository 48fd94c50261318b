"""A project directory: where the ledger, the models, the keys and the log live, and who may write to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData, InvalidParameter, NotReady, StorageFull, UnknownName
from expunge.ledger import LEDGER_FILE, Calendar, Ledger, ModelVersion, Regulation, VersionState
from expunge.workflow.project.config import CONFIG, read_config, show_stamp, shown_stamp, with_stamp
from expunge.workflow.project.files import for_owner_alone, make_private, only_writer, tighten

if TYPE_CHECKING:
    from expunge.certify.keys import LogKey, SigningKey

PUBLIC_KEY, LOG_KEY, SEALED = "signer.pub.pem", "log.vkey", "facts.sealed"
_LAYOUT = 1


def law_of(name: str) -> Regulation:
    """Raises: InvalidParameter."""
    if name not in list(Regulation):
        raise InvalidParameter(f"'{name}' is no law that is known here; name one of {', '.join(Regulation)}")
    return Regulation(name)


@dataclass(frozen=True)
class Project:
    """An open project. Reading needs no lock; writing goes through `writing()`."""

    root: Path
    ledger: Ledger

    @classmethod
    def create(cls, root: Path, name: str | None = None) -> "Project":
        """Make a new project with fresh keys.

        Raises: InvalidParameter, if there is one already.
        """
        from expunge.certify import create_log_key, create_signing_key
        from expunge.workflow.project.speaking import introduce

        root = root.resolve()
        name = name or root.name
        if not re.fullmatch(r"\w[\w.-]*", name) or ".." in name:
            raise InvalidParameter(f"{name!r} cannot name a project; use letters, digits, '-', '_' and '.'")
        make_private(root)
        with for_owner_alone(), only_writer(root):
            if (root / CONFIG).exists():
                raise InvalidParameter(f"{root} is a project already; open it, or name another directory")
            made = (root / LEDGER_FILE).exists()  # by a call that was stopped
            ledger = Ledger.open(root, shown=lambda: shown_stamp(root)) if made else Ledger.create(root)
            keys = root / "keys"
            if not (keys / "sign.pem").exists():
                create_signing_key(keys / "sign.pem")
            if not (keys / "log.pem").exists():
                create_log_key(keys / "log.pem")
            introduce(cls(root, ledger), name)
            # The configuration is written last: a directory without it is no project, and `init` can be repeated.
            text = f'name = "{name}"\nlayout = {_LAYOUT}\n'
            write_durably(root / CONFIG, with_stamp(text, ledger.stamp()).encode())
        return cls(root, ledger)

    @classmethod
    def open(cls, root: Path, *, restored: bool = False) -> "Project":
        """`restored` goes on with parts that are not of one moment; see `Ledger.open`.

        Raises: UnknownName, if there is no project here; InvalidData, if another version made it, or its parts are not of one
        moment; UnsafeKeyFile.
        """
        root = root.resolve()
        if not (root / CONFIG).exists():
            raise UnknownName(f"no project at {root}; make one with `expunge init`, or name it with --project")
        layout = read_config(root).get("layout")
        if layout != _LAYOUT:
            raise InvalidData(
                f"the project at {root} has layout {layout}, and this Expunge knows {_LAYOUT}; open it with the Expunge that "
                "made it"
            )
        opened = cls(root, Ledger.open(root, restored=restored, shown=lambda: shown_stamp(root)))
        if restored:
            opened._show_stamp()
        return opened

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer; what is written can be read by its owner alone.

        Raises: ProjectLocked.
        """
        with for_owner_alone(), only_writer(self.root):
            tighten(self.root)
            yield
            self._show_stamp()

    def _show_stamp(self) -> None:
        """Bring `expunge.toml` up. After an error, a kill or on a full disk it lags behind, until the next command."""
        if shown_stamp(self.root) != (stamp := self.ledger.stamp()):
            with suppress(StorageFull):
                show_stamp(self.root, stamp)
                self.ledger.note_shown(stamp)

    @cached_property
    def config(self) -> dict[str, Any]:
        return read_config(self.root)

    @property
    def calendar(self) -> Calendar:
        """The days of the place: `[clock]` in `expunge.toml`, with `zone` and `holidays`. Raises: InvalidParameter."""
        clock = self.config.get("clock", {})
        if unknown := sorted(clock.keys() - {"zone", "holidays", "regulation", "pauses"}):
            raise InvalidParameter(
                f"[clock] in expunge.toml knows zone, holidays, regulation and pauses, not `{unknown[0]}`"
            )
        return Calendar.of([str(day) for day in clock.get("holidays", ())], str(clock.get("zone", "UTC")))

    @property
    def regulation(self) -> Regulation:
        """The law that requests are made under where they do not say. Raises: InvalidParameter."""
        return law_of(str(self.config.get("clock", {}).get("regulation", Regulation.GDPR.value)))

    @property
    def clock_pauses(self) -> bool:
        """Whether GDPR's period stands still while it is not known who asks: `pauses` of `[clock]`; without a word it does not."""
        return self.config.get("clock", {}).get("pauses", False) is True

    @property
    def log_folder(self) -> Path:
        return self.root / "log"

    @property
    def log_origin(self) -> str:
        """The name of the log that is written to; that of release 0.1, until the ledger knows one."""
        head = self.ledger.log_head()
        return head.origin if head else f"expunge/{self.config['name']}"

    def signing_key(self) -> "SigningKey":
        from expunge.certify import load_signing_key

        return load_signing_key(self.root / "keys" / "sign.pem")

    def log_key(self) -> "LogKey":
        from expunge.certify import load_log_key

        return load_log_key(self.root / "keys" / "log.pem")

    def salt(self, model: str) -> bytes:
        """The secret behind a model's placement."""
        # In hexadecimal: names of secrets are narrower than names of models, and a model may be called "control".
        return self.ledger.keys.secret(f"salt-{model.encode().hex()}")

    def folder(self, version: ModelVersion) -> Path:
        return self.root / version.path

    def version_path(self, model: str, digest: str) -> str:
        """Where a version is kept, relative to the project."""
        return f"models/{model}/{digest.removeprefix('sha256:')[:16]}"

    def work(self, request: str, model: str) -> Path:
        """Unfinished work of a request on a model; purged at delivery."""
        folder = self.root / "work" / request
        return folder if (folder / SEALED).exists() else folder / model  # as it was while a request had one model

    def clear_work(self, request: str) -> None:
        """Remove the folder of a request's work once nothing is in it."""
        with suppress(OSError):  # it is not there, or not empty
            (self.root / "work" / request).rmdir()

    def evidence(self, request: str) -> Path:
        """What a request leaves: findings, certificate, page."""
        return self.root / "evidence" / request

    def came_back(self) -> list[ModelVersion]:
        """Versions that were purged, and whose files are there all the same: from a backup, or after a power cut."""
        versions = [version for model in self.ledger.models() for version in self.ledger.model_versions(model)]
        return [v for v in versions if v.state is VersionState.PURGED and self.folder(v).exists()]

    def current(self, model: str) -> ModelVersion:
        """Raises: UnknownName; NotReady, if no version serves."""
        if version := self.ledger.current_version(model):
            return version
        raise NotReady(f"no version of '{model}' serves; its last delivery did not end, repeat `expunge deliver`")

    def point_current(self, version: ModelVersion) -> None:
        """Make `models/<name>/current` name a version's folder, in one step."""
        write_durably(self.root / "models" / version.model / "current", f"{Path(version.path).name}\n".encode())
