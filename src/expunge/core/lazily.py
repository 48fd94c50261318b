"""Names of a package that are imported when first used, so that importing the package itself costs next to nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`: each name with the file below the package that it comes from.

    >>> lazily("expunge.core", {"Route": "units"})("Route").DROP
    <Route.DROP: 'drop'>
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"{package} has no '{name}'")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return find
