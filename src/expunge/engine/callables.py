"""Digests of what can be called: of a function what it executes, of a method what it is bound to, of the rest its name."""

import copyreg
import pickle
import sys
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from expunge.core.errors import InvalidParameter
from expunge.engine.hashed import hashed

Of = Callable[[Any], bytes]  # the digest of any value

# What Python makes copies with. They count as names: these are the digests of their code in Python 3.11, which were
# recorded once; in another version the code is another one, and what it makes is the same.
_COPIERS = {
    copyreg.__newobj__: "614a1cd01143f5fa89916fe3b79a14ad38202e6e3483f104ff1e40b94cbec8bc",  # type: ignore[attr-defined]
    copyreg.__newobj_ex__: "c922809c52aea337b2185e44ae46c1187b44d259532764ddf4a387140e04a3f8",  # type: ignore[attr-defined]
    copyreg._reconstructor: "f4ff7671beb9f5e44d476d482ce29918eec162d339038ca14465c09fbf9b1d42",  # type: ignore[attr-defined]
}

_CACHE = type(lru_cache(len))
_LIBRARIES = tuple(f"{sysconfig.get_path(kind)}/" for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def callable_digest(value: Any, of: Of) -> bytes | None:
    """None for what is no function, method, class, module or ufunc.

    Raises: InvalidParameter, for a ufunc that its name does not lead to.
    """
    if isinstance(value, FunctionType):
        return _function(value, of)
    if isinstance(value, MethodType):
        return hashed("method", of(value.__func__), of(value.__self__))
    if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | None):
        return hashed("bound", value.__name__.encode(), of(value.__self__))
    if isinstance(value, np.ufunc):
        return _name("numpy" if getattr(np, value.__name__, None) is value else _home(value), value.__name__)
    if isinstance(value, ModuleType):
        return _name("", value.__name__)
    if isinstance(value, type | BuiltinFunctionType):
        return _name(getattr(value, "__module__", None) or "numpy", value.__qualname__)
    return None


def copier_digest(value: Any, of: Of) -> bytes:
    """What makes a copy of an object, by its name: of the object it says the kind."""
    if isinstance(value, FunctionType):
        if value in _COPIERS:
            return bytes.fromhex(_COPIERS[value])
        if found_under(value.__module__, value.__qualname__) is value:
            return hashed("copier", f"{value.__module__}.{value.__qualname__}".encode())
    if type(value).__name__ == "cython_function_or_method":
        return _global(value, value.__qualname__)
    return of(value)


def global_digest(value: Any, name: str, of: Of) -> bytes:
    """What is copied by the name under which it is found.

    Raises: InvalidParameter, where something else is found, or nothing.
    """
    home = pickle.whichmodule(value, name)  # type: ignore[attr-defined]
    if isinstance(value, _CACHE):
        return hashed("cache", of(value.__wrapped__))
    if found_under(home, name) is not value:
        raise InvalidParameter(
            f"a {type(value).__qualname__} goes by its name, and under '{home}.{name}' it is not found; leave it out"
        )
    return _global(value, name, "" if home == type(value).__module__ else f" of {home}")


def _global(value: Any, name: str, place: str = "") -> bytes:
    return hashed("global", f"{type(value).__module__}.{type(value).__qualname__} {name}{place}".encode())


def found_under(module: str | None, name: str) -> Any:
    """What this name leads to, or None."""
    try:
        return attrgetter(name)(sys.modules[module or ""])
    except (KeyError, AttributeError):
        return None


def _name(home: str, name: str) -> bytes:
    return hashed("name", f"{home}.{name}".encode())


def _home(ufunc: np.ufunc) -> str:
    """Where a ufunc that is not numpy's is found; those of scipy count under numpy's name, unless numpy has another."""
    name = ufunc.__name__
    if found_under("scipy.special", name) is ufunc:
        return "scipy.special" if hasattr(np, name) else "numpy"
    raise InvalidParameter(
        f"the ufunc '{name}' goes by its name, and it is not found under it; give the function itself"
    )


def _function(value: FunctionType, of: Of) -> bytes:
    """Code, defaults, what it closes over, what is hung on it, and how it is called.

    Of a function of an installed library the last two are left out, as they are from digests recorded earlier of fitted
    estimators that hold some: its library says the rest, and the version of that is in the recipe.
    """
    code, own = value.__code__, not value.__code__.co_filename.startswith(_LIBRARIES)
    given = [value.__defaults__, value.__kwdefaults__, [_held(cell, value) for cell in value.__closure__ or ()]]
    given += [vars(value)] if own else []
    return hashed("function", value.__qualname__.encode(), _code(code, of, whole=own), of(given))


class _Empty:
    """In place of what was not yet put into a cell."""


class _Itself:
    """In place of the function, where it closes over itself."""


def _held(cell: CellType, function: FunctionType) -> Any:
    try:
        held = cell.cell_contents
    except ValueError:
        return _Empty
    return _Itself if held is function else held


def _code(code: CodeType, of: Of, whole: bool) -> bytes:
    """What is executed, without where it was written; the `whole` of it with how it is called and what it catches."""
    constants = [_code(c, of, whole) if isinstance(c, CodeType) else of(c) for c in code.co_consts]
    names = of([code.co_names, code.co_varnames, code.co_freevars])
    if not whole:
        return hashed("code", code.co_code, names, *constants)
    called = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_cellvars]
    return hashed("whole code", code.co_code, code.co_exceptiontable, of(called), names, *constants)
