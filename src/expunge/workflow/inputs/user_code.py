"""Run a user's file: its bytes are read once, compared with what was recorded, and exactly those are compiled and run.

The same holds for modules that it imports from its own folder. No cached bytecode is read or written, so what runs is what
was compared; what is installed is imported as always, and comes before what lies beside the file.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from expunge.core.errors import InvalidParameter, RecipeMismatch

_found: dict[str, "UserCode"] = {}  # modules that were imported from a script's folder, and for which script


@dataclass(frozen=True)
class Recorded:
    """The file that a model was made by, and those beside it that it imported, by SHA-256; None: that was not recorded."""

    model: str
    script_sha256: str | None = None
    helpers: Mapping[str, str] | None = None

    @classmethod
    def of(cls, model: str, recipe: Mapping[str, Any]) -> "Recorded":
        """As a version's recipe has it."""
        return cls(model, recipe.get("script_sha256"), recipe.get("helpers"))

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "script_sha256": self.script_sha256, "helpers": self.helpers}

    def refuse_other(self, name: str, digest: str, *, helper: bool) -> None:
        """Raises: RecipeMismatch, if this is not the file that was recorded."""
        if helper and self.helpers is not None and name not in self.helpers:
            raise RecipeMismatch(
                f"'{self.model}' was trained without {name}, which is imported now; restore the recipe as it was"
            )
        known = (self.helpers or {}).get(name) if helper else self.script_sha256
        if known not in (None, digest):
            raise RecipeMismatch(
                f"{name} is not the file that '{self.model}' was trained by; restore it as it was then"
            )


@dataclass
class UserCode:
    """A user's file as a module, and the modules from its folder that it has imported so far, by SHA-256."""

    path: Path
    recorded: Recorded | None
    digest: str = ""
    helpers: dict[str, str] = field(default_factory=dict)

    def run(self) -> ModuleType:
        """Compare everything that was recorded, then run the file. A fault in it passes through.

        Raises: RecipeMismatch, before anything has run.
        """
        source = self._read(self.path, helper=False)
        for name in (self.recorded.helpers if self.recorded else None) or ():
            if not (self.path.parent / name).is_file():
                raise RecipeMismatch(f"{name} is gone, which {self.path.name} imported; restore it as it was then")
            self._read(self.path.parent / name, helper=True)
        self.helpers.clear()
        module = ModuleType(f"expunge_script_{self.path.stem}")
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module
        with self.importable():
            code = compile(source, str(self.path), "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - the user's own file, as `python FILE` would run it
        return module

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Modules beside the file can be imported, by nobody else's leave than that of what was recorded."""
        finder = _Beside(self)
        sys.meta_path.insert(0, finder)
        for name in [name for name, code in _found.items() if code is not self]:
            del _found[name]  # another script's module of this name may be another one
            sys.modules.pop(name, None)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)

    def read_helper(self, path: Path) -> bytes:
        return self._read(path, helper=True)

    def _read(self, path: Path, *, helper: bool) -> bytes:
        source = path.read_bytes()
        digest = hashlib.sha256(source).hexdigest()
        name = path.relative_to(self.path.parent).as_posix() if helper else path.name
        if self.recorded is not None:
            self.recorded.refuse_other(name, digest, helper=helper)
        if helper:
            self.helpers[name] = digest
        else:
            self.digest = digest
        return source


class _AsRead(SourceFileLoader):
    """Compiles the bytes that were read and compared."""

    def __init__(self, name: str, path: str, code: UserCode) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        source = self.code.read_helper(Path(self.path))
        return compile(source, self.path, "exec", dont_inherit=True)


class _Beside(MetaPathFinder):
    """Finds modules in a script's folder, after all that is installed."""

    def __init__(self, code: UserCode) -> None:
        self.code, self.folder = code, code.path.parent

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is None:
            elsewhere = [entry for entry in sys.path if Path(entry or ".").resolve() != self.folder]
            if name in sys.builtin_module_names or PathFinder.find_spec(name, elsewhere) is not None:
                return None
            spec = PathFinder.find_spec(name, [str(self.folder)])
        elif _found.get(name.rpartition(".")[0]) is self.code:
            spec = PathFinder.find_spec(name, path)
        else:
            return None
        if spec is None:
            return None
        _found[name] = self.code
        if spec.loader is None or spec.origin is None:  # a folder without a file of its own: nothing runs
            return spec
        if not isinstance(spec.loader, SourceFileLoader):
            raise InvalidParameter(
                f"{Path(spec.origin).name} beside {self.code.path.name} is no Python source; import its source"
            )
        spec.loader = _AsRead(name, spec.origin, self.code)
        spec.cached = None
        return spec
