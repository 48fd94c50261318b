"""Look up a method by name. The files of a package, and entry points of other packages, are the list; there is no second
list to keep."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeVar

from expunge.core.errors import UnknownMethod

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

C = TypeVar("C", bound=type[Any])


class Registry:
    """The classes of a package's files, each under the name of its file; and of a group of entry points, each under its own.

    Another package offers a class by an entry point, `majority = "their_package:Majority"` in the group. It is listed by
    name and imported only by `get`. A name that two offer is refused by `get`, so that nothing of Expunge's own is replaced.

    >>> "gradient_ascent" in Registry("expunge.approximate", "expunge.methods").names()
    True
    """

    def __init__(self, package: str, group: str, what: str = "method") -> None:
        self.package, self.group, self.what = package, group, what
        self._classes: dict[str, type[Any]] = {}

    def names(self) -> list[str]:
        """Every method on offer, sorted. Lists files without importing them, so `--help` stays fast."""
        return sorted({*self.own(), *(point.name for point in self._offered)})

    def own(self) -> list[str]:
        """The names that are files of the package, sorted."""
        files = iter_modules(import_module(self.package).__path__)
        return sorted(f.name for f in files if not f.name.startswith("_"))

    def add(self, cls: C) -> C:
        """Make a class of one of the package's files known under the file's name. Of a class elsewhere this changes nothing."""
        package, _, file = cls.__module__.rpartition(".")
        if package == self.package:
            self._classes[file] = cls
        return cls

    def get(self, name: str) -> type[Any]:
        """The class of this name.

        Raises: UnknownMethod, where nobody offers it, two do, or what is offered cannot be loaded.
        """
        own, offered = name in self.own(), [point for point in self._offered if point.name == name]
        if len(offered) + own > 1:
            sources = [self.package] * own + [f"package {_source(point)}" for point in offered]
            raise UnknownMethod(
                f"{self.what} '{name}' is offered by {' and '.join(sources)}; rename one of them, or uninstall it"
            )
        if offered:
            return _loaded(offered[0], self.what)
        if not own:
            names = self.names()
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"available: {', '.join(names)}"
            raise UnknownMethod(f"no {self.what} '{name}' in {self.package}; {hint}")
        import_module(f"{self.package}.{name}")
        return self._classes[name]

    def name_of(self, cls: type[Any]) -> str | None:
        """The name by which `get` gives this class; None where there is none, as of a class in somebody's script."""
        package, _, file = cls.__module__.rpartition(".")
        if package == self.package:
            return file
        there = f"{cls.__module__}:{cls.__qualname__}"
        is_it: Callable[[EntryPoint], bool] = lambda p: p.value == there or _loaded(p, self.what) is cls
        top = cls.__module__.partition(".")[0]
        return next((p.name for p in self._offered if p.module.partition(".")[0] == top and is_it(p)), None)

    def offered_by(self, name: str) -> str | None:
        """The other package that offers this name, with its version; None where none does, as of a file of this one."""
        return next((_source(point) for point in self._offered if point.name == name), None)

    @cached_property
    def _offered(self) -> "tuple[EntryPoint, ...]":
        from importlib.metadata import entry_points  # takes longer than all the rest of this file

        return tuple(entry_points(group=self.group))


def _loaded(point: "EntryPoint", what: str) -> type[Any]:
    try:
        found = point.load()
    except Exception as e:
        raise UnknownMethod(
            f"{what} '{point.name}' of package {_source(point)} cannot be loaded ({e}); repair that package"
        ) from e
    if not isinstance(found, type):
        raise UnknownMethod(
            f"{what} '{point.name}' of package {_source(point)} is no class but {found!r}; name the class there"
        )
    return found


def _source(point: "EntryPoint") -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
