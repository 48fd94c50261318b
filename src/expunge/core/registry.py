"""Look up a method by name. The files of a package are the list; there is no second list to keep."""

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from expunge.core.errors import UnknownMethod

C = TypeVar("C", bound=type[Any])


class Registry:
    """The classes of a package's files, each under the name of its file.

    >>> "gradient_ascent" in Registry("expunge.approximate").names()
    True
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._classes: dict[str, type[Any]] = {}

    def names(self) -> list[str]:
        """Every method on offer, sorted. Lists files without importing them, so `--help` stays fast."""
        files = iter_modules(import_module(self.package).__path__)
        return sorted(f.name for f in files if not f.name.startswith("_"))

    def add(self, cls: C) -> C:
        self._classes[cls.__module__.rpartition(".")[2]] = cls
        return cls

    def get(self, name: str) -> type[Any]:
        if name not in (names := self.names()):
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"available: {', '.join(names)}"
            raise UnknownMethod(f"no method '{name}' in {self.package}; {hint}")
        import_module(f"{self.package}.{name}")
        return self._classes[name]
