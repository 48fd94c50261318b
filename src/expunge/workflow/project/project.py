"""A project directory: where the ledger, the models, the keys and the log live, and who may write to it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidData, InvalidParameter, NotReady, StorageFull, UnknownName
from expunge.ledger import LEDGER_FILE, Ledger, ModelVersion, VersionState
from expunge.workflow.project.config import CONFIG, read_config, show_stamp, shown_stamp, with_stamp
from expunge.workflow.project.files import for_owner_alone, make_private, only_writer, tighten

if TYPE_CHECKING:
    from expunge.certify.keys import LogKey, SigningKey

PUBLIC_KEY = "signer.pub.pem"
_LAYOUT = 1


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
        from expunge.certify import create_log_key, create_signing_key, load_signing_key, public_pem

        root = root.resolve()
        name = name or root.name
        if not name.isprintable() or any(c in name for c in '"\\+\n ') or not name:
            raise InvalidParameter(f"'{name}' cannot name a project; use letters, digits, '-' and '.'")
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
            write_durably(root / PUBLIC_KEY, public_pem(load_signing_key(keys / "sign.pem")).encode())
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
    def log_folder(self) -> Path:
        return self.root / "log"

    @property
    def log_origin(self) -> str:
        return f"expunge/{self.config['name']}"

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

    def work(self, request: str) -> Path:
        """Unfinished work of a request; purged at delivery."""
        return self.root / "work" / request

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
